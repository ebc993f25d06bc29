"""The explorer in a real browser, as a person would use it, and its server under attack and without a database."""

import contextlib
import datetime
import json
import math
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dj_neuron
from accessibility import violations
from dj_neuron.contracts import Movie, Session, SpikeTrain, Stimulation
from dj_neuron.explorer import channel
from dj_neuron.explorer.failures import part_in_words
from dj_neuron.explorer.security import is_own
from dj_neuron.explorer.server import N_CONNECTIONS, listen, port_of
from dj_neuron.ingest import ingest
from dj_neuron.simulate import draw_neuron, respond
from explored import ask, call, page_of

NASTY = "<script>alert(1)</script>"
WIDTHS = [(1280, 800), (1366, 768), (1920, 1080)]


def sessions():
    """A session of checkers and bars: some neurons have fields, one hardly fires, one is silent."""
    rng = np.random.default_rng(5)

    def stimulation(number, n_y, n_x, counts):
        movie = Movie.from_frames(rng.choice([-1, 1], (2400, n_y, n_x)), block_size_px=(10, 20))
        bare = Stimulation(number, movie, 30.0, 1.25, 2.0)
        extent_um = (n_x * bare.block_size_um[0], n_y * bare.block_size_um[1])
        known = [
            replace(
                draw_neuron(rng, i, extent_um),
                polarity=polarity,
                sigma_major_um=40.0,
                sigma_minor_um=30.0,
                time_to_peak_s=0.07,
            )
            for i, polarity in enumerate((1, -1, 1, 1, 1), 1)
        ]
        times = [
            respond(one, bare, n, rng) if n > 3 else np.arange(2.0, 2.0 + n)
            for one, n in zip(known, counts, strict=False)
        ]
        trains = [SpikeTrain(i, times_s, NASTY if i == 1 else "") for i, times_s in enumerate(times, 1)]
        return replace(bare, spike_trains=tuple(trains))

    day = datetime.date(2020, 1, 2)
    yield Session("WT", day, 3, (stimulation(1, 10, 16, (900, 700, 3, 0)), stimulation(2, 12, 1, (900, 700, 3, 0, 50))))
    yield Session("WT / empty", day, 3, (stimulation(1, 3, 4, ()),))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A data folder with a simulated session of checkers and bars, and one with labels that are HTML."""
    folder = tmp_path_factory.mktemp("explored")
    with dj_neuron.connect(folder) as pipeline:
        list(ingest(sessions(), "made.pkl"))
        pipeline.compute([dj_neuron.connection.DelayRange(-0.1, 0.3)])
        pipeline.compute([0.05], judge=False)
    return folder


@pytest.fixture(scope="module")
def served(recorded, explorer):
    with explorer(recorded) as (address, _):
        yield address


@pytest.fixture
def page(reader):
    """A window; a test fails if its page has an error or asks for anything elsewhere."""
    window = reader.new_page()
    faults = []
    window.on("pageerror", lambda error: faults.append(str(error)))
    window.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    window.on(
        "request",
        lambda request: (
            None
            if "127.0.0.1" in request.url or request.url.startswith(("data:", "blob:"))
            else faults.append(request.url)
        ),
    )
    window.faults = faults
    yield window
    for one in reader.pages[1:]:  # without the first one a browser would end
        one.close()
    assert faults == []


def neuron_address(neuron_id, stimulation=1, subject="WT"):
    return f"/neuron/{quote(subject, safe='')}/2020-01-02/3/{stimulation}/{neuron_id}"


def heading(page, words):
    page.get_by_role("heading", level=1, name=words).wait_for()


def rows(page):
    page.locator("table.neurons tbody tr").first.wait_for()
    return page.locator("table.neurons tbody tr")


def column(page, place):
    return [row.locator("td").nth(place).inner_text() for row in rows(page).all()]


def drawn(page, name):
    """The figure of a graph as the browser has it."""
    picture = page.locator(f"#{name} .js-plotly-plot")
    picture.wait_for()
    page.wait_for_function("name => document.querySelector(`#${name} .js-plotly-plot`).data", arg=name)
    return picture


def data_of(page, name, trace="STRF", key="z"):
    drawn(page, name)
    return page.evaluate(
        """([name, trace, key]) => {
            const picture = document.querySelector(`#${name} .js-plotly-plot`);
            const named = (traces) => traces.find((one) => one.name === trace) || {};
            const plain = (value) =>
                ArrayBuffer.isView(value) ? Array.from(value) : Array.isArray(value) ? value.map(plain) : value;
            // what the server packs is unpacked in Plotly's own copy only
            const packed = (named(picture.data)[key] || {}).bdata;
            return plain(named(packed ? picture._fullData : picture.data)[key]);
        }""",
        [name, trace, key],
    )


# What a person does


def test_from_the_first_page_to_a_neuron_and_back(page, served):
    page.goto(served)
    heading(page, "Neurons")
    assert page.title() == "Neurons · dj-neuron"
    assert rows(page).count() == 9
    assert page.locator(".tile", has_text="sessions").inner_text().split() == ["2", "sessions"]

    rows(page).first.get_by_role("link").click()
    heading(page, "Neuron 1")
    page.wait_for_url("**/neuron/**")
    page.go_back()
    heading(page, "Neurons")
    assert rows(page).count() == 9
    page.go_forward()
    heading(page, "Neuron 1")


def test_sorting_and_filtering_are_in_the_address(page, served):
    page.goto(served)
    rows(page)
    page.get_by_role("columnheader", name="Spikes").get_by_role("link").click()
    page.wait_for_url("**sort=-n_spikes**")
    page.wait_for_function("() => document.querySelector('th[aria-sort=descending]')")
    spikes = [int(text.replace(",", "")) for text in column(page, 1)]
    assert spikes == sorted(spikes, reverse=True)

    page.get_by_label("Where").select_option("n_spikes")
    page.get_by_label("from", exact=True).fill("100")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**n_spikes=100..**")
    page.get_by_role("link", name="Spikes ≥ 100").wait_for()
    fewer = [int(text.replace(",", "")) for text in column(page, 1)]
    assert fewer == [n for n in spikes if n >= 100]

    # the address alone brings all of it back in another window
    address = page.url
    other = page.context.new_page()
    other.goto(address)
    assert [int(text.replace(",", "")) for text in column(other, 1)] == fewer
    other.close()

    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('table.neurons tbody tr').length === 9")
    assert [int(text.replace(",", "")) for text in column(page, 1)] == spikes


def test_what_is_no_number_is_refused_in_the_form(page, served):
    page.goto(served)
    rows(page)
    page.get_by_label("from", exact=True).fill("many")
    page.get_by_role("button", name="Filter").click()
    assert not page.get_by_label("from", exact=True).evaluate("box => box.checkValidity()")
    assert page.url.rstrip("/") == served


def test_filters_that_nothing_passes_are_told_with_a_way_out(page, served):
    page.goto(f"{served}/?n_spikes=100000..")
    page.get_by_text("No neuron passes these filters.").wait_for()
    page.get_by_role("link", name="Show all").click()
    assert rows(page).count() == 9


def test_the_delay_moves_the_picture_and_the_address(page, served):
    page.goto(f"{served}{neuron_address(1)}")
    before = data_of(page, "strf-a")
    slider = page.get_by_label("Delay")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**delay=**")
    after = data_of(page, "strf-a")
    assert before != after

    # what the browser unpacked is what the server draws for the same address
    words = page.locator("#delay-words").inner_text()
    other = page.context.new_page()
    other.goto(page.url)
    np.testing.assert_allclose(np.array(data_of(other, "strf-a"), float), np.array(after, float), atol=2e-5)
    assert other.locator("#delay-words").inner_text() == words
    marker = "document.querySelector('#course-a .js-plotly-plot').layout.shapes.find(s => s.name === 'delay marker').x0"
    assert other.evaluate(marker) == pytest.approx(page.evaluate(marker))
    other.close()


def test_play_runs_towards_the_spike_until_it_is_paused(page, served):
    page.goto(f"{served}{neuron_address(1)}")
    drawn(page, "strf-a")
    start = int(page.get_by_label("Delay").input_value())
    page.keyboard.press(" ")
    page.get_by_role("button", name="Pause").wait_for()
    page.wait_for_function("start => Number(document.querySelector('#delay').value) < start - 1", arg=start)
    page.keyboard.press(" ")
    page.get_by_role("button", name="Play").wait_for()
    stopped = page.get_by_label("Delay").input_value()
    page.wait_for_timeout(500)
    assert page.get_by_label("Delay").input_value() == stopped


def test_overlays_are_switched(page, served):
    page.goto(f"{served}{neuron_address(1)}")
    assert data_of(page, "strf-a", "fit", "visible") is True
    switch = page.get_by_role("button", name="Fit")
    assert switch.get_attribute("aria-pressed") == "true"
    switch.click()
    page.wait_for_function(
        "() => document.querySelector('#strf-a .js-plotly-plot').data.find(t => t.name === 'fit').visible === false"
    )
    assert switch.get_attribute("aria-pressed") == "false"
    assert data_of(page, "strf-a", "significant", "visible") is True

    # another neuron begins with both
    page.get_by_role("link", name="Next neuron").click()
    heading(page, "Neuron 2")
    assert switch.get_attribute("aria-pressed") == "true"


def click_at(page, name, x, y):
    """Click a point given in the units of a graph's axes."""
    drawn(page, name).scroll_into_view_if_needed()
    place = page.evaluate(
        """([name, x, y]) => {
            const picture = document.querySelector(`#${name} .js-plotly-plot`);
            const { xaxis, yaxis } = picture._fullLayout;
            const box = picture.getBoundingClientRect();
            return [box.left + xaxis._offset + xaxis.d2p(x), box.top + yaxis._offset + yaxis.d2p(y)];
        }""",
        [name, x, y],
    )
    page.mouse.move(*place)
    page.wait_for_timeout(200)
    page.mouse.click(*place)


def test_a_click_on_a_block_shows_its_time_course(page, served):
    page.goto(f"{served}{neuron_address(1)}?delay=50")
    before = data_of(page, "course-a", "course", "y")
    click_at(page, "strf-a", 30, 110)  # blocks of 20 x 40 um: row 2, column 1
    page.wait_for_url("**block=2%2C1**")
    page.wait_for_function(
        "old => JSON.stringify(document.querySelector('#course-a .js-plotly-plot').data"
        ".find(t => t.name === 'course').y) !== old",
        arg=str(before),
    )
    chosen = data_of(page, "course-a", "course", "y")

    other = page.context.new_page()
    other.goto(page.url)
    assert data_of(other, "course-a", "course", "y") == chosen
    other.close()


def test_arrow_keys_choose_a_block(page, served):
    page.goto(f"{served}{neuron_address(1)}?block=2,1")
    drawn(page, "strf-a")
    before = data_of(page, "course-a", "course", "y")
    page.locator(".graph.blocks").focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    page.wait_for_url("**block=4%2C2**")
    page.wait_for_function(
        "old => JSON.stringify(document.querySelector('#course-a .js-plotly-plot').data"
        ".find(t => t.name === 'course').y) !== old",
        arg=str(before),
    )
    chosen = data_of(page, "course-a", "course", "y")
    page.goto(page.url)
    assert data_of(page, "course-a", "course", "y") == chosen

    # bars run downwards, in rows; past the last there is none
    page.goto(f"{served}{neuron_address(1, stimulation=2)}?block=10,0")
    drawn(page, "strf-a")
    page.locator(".graph.blocks").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_url("**block=11%2C0**")
    heading(page, "Neuron 1")


def test_a_click_on_a_spike_shows_the_stimulus_before_it(page, served):
    page.goto(f"{served}{neuron_address(1)}")
    said = drawn(page, "stimulus-frame").locator(".annotation")
    first = said.text_content()
    assert re.fullmatch(r"frame \d+\D.* ms before the spike at [\d.]+ s", first)
    page.get_by_role("spinbutton", name="Spike").fill("40")
    page.get_by_role("spinbutton", name="Spike").press("Enter")
    page.locator("#stimulus-frame .annotation", has_not_text=first).wait_for()
    second = said.text_content()
    assert page.locator("#delay-words").inner_text() in second
    assert set(np.unique(np.array(data_of(page, "stimulus-frame", "frame"), float))) == {-1.0, 1.0}

    x, y = (data_of(page, "raster", "spikes", axis)[100] for axis in "xy")
    click_at(page, "raster", x, y)
    page.locator("#stimulus-frame .annotation", has_not_text=second).wait_for()
    assert 95 <= int(page.get_by_role("spinbutton", name="Spike").input_value()) <= 107
    assert "spike=" in page.url


def test_keys_move_between_neurons(page, served):
    page.goto(f"{served}{neuron_address(1)}")
    heading(page, "Neuron 1")
    page.keyboard.press("j")
    heading(page, "Neuron 2")
    page.keyboard.press("ArrowRight")
    heading(page, "Neuron 3")
    page.keyboard.press("k")
    heading(page, "Neuron 2")
    assert page.url.endswith(neuron_address(2))
    page.go_back()
    heading(page, "Neuron 3")


def test_two_neurons_and_two_estimates_side_by_side(page, served):
    page.goto(f"{served}{neuron_address(1)}")
    page.get_by_label("Put beside it").select_option("2")
    page.wait_for_url("**with_neuron=2**")
    assert data_of(page, "strf-a") != data_of(page, "strf-b")
    page.get_by_label("Delay").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**delay=**")

    page.goto(f"{served}{neuron_address(1)}?with_row=2")
    page.get_by_role("heading", name=re.compile("Neuron 1, estimate 2")).first.wait_for()
    assert np.shape(data_of(page, "strf-a")) == np.shape(data_of(page, "strf-b"))


def test_bars_are_an_image_of_space_and_time(page, served):
    page.goto(f"{served}{neuron_address(1, stimulation=2)}")
    image = np.array(data_of(page, "strf-a"), float)
    assert image.shape[0] == 12
    page.goto(f"{served}/stimulation/WT/2020-01-02/3/2")
    page.get_by_role("heading", name="Receptive fields").wait_for()
    assert page.get_by_text("form no mosaic").count() == 0
    page.go_back()
    page.get_by_label("Delay").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**delay=**")


def test_the_mosaic_opens_a_neuron_and_a_distribution_narrows_the_table(page, served):
    page.goto(f"{served}/stimulation/WT/2020-01-02/3/1")
    assert rows(page).count() == 4
    page.wait_for_timeout(300)
    drawn(page, "distribution-peak_z")
    box = page.locator("#distribution-peak_z .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    page.wait_for_url("**peak_z=**")
    page.wait_for_function("() => document.querySelectorAll('table.neurons tbody tr').length < 4")

    neuron_id, x, y = page.evaluate(
        """() => {
            const found = document.querySelector("#mosaic .js-plotly-plot")._fullData.find((trace) => trace.customdata);
            return [found.customdata[0], found.x[0], found.y[0]];
        }"""
    )
    click_at(page, "mosaic", x, y)
    heading(page, f"Neuron {neuron_id}")


def test_silence_and_missing_results_are_told_in_words(page, served):
    page.goto(f"{served}{neuron_address(4)}")
    page.get_by_text("Silent: no spike during this stimulation").wait_for()
    page.goto(f"{served}{neuron_address(1)}?row=2")
    page.get_by_text("average, not judged yet").wait_for()
    page.get_by_text("Nothing was measured on this estimate").wait_for()
    page.goto(f"{served}/stimulation/WT%20%2F%20empty/2020-01-02/3/1")
    page.get_by_text("No neuron was recorded during this stimulation").wait_for()


def test_texts_of_files_are_never_taken_for_html(page, served):
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto(served)
    rows(page)
    assert page.locator("table.neurons .label").first.inner_text() == NASTY
    page.goto(f"{served}{neuron_address(1)}")
    assert page.locator(".unit-label").inner_text() == NASTY
    page.goto(f"{served}/?label={quote(NASTY)}")
    page.get_by_text(f"label contains “{NASTY}”").wait_for()
    page.goto(f"{served}/{quote(NASTY)}")
    page.get_by_text(NASTY).wait_for()


def test_names_of_files_are_never_taken_for_html(page, data_dir, prefix, explorer):
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    rng = np.random.default_rng(0)
    trains = tuple(SpikeTrain(i, np.sort(rng.uniform(0, 5, 300)), f"{NASTY} {i}") for i in (1, 2))
    movie = Movie.from_frames(rng.choice([-1, 1], (200, 3, 4)), block_size_px=(10, 20))
    made = Session(NASTY, datetime.date(2020, 1, 2), 3, (Stimulation(1, movie, 60.0, 0.5, 2.0, trains),), note=NASTY)
    with dj_neuron.connect(data_dir, prefix=prefix) as pipeline:
        list(ingest([made], f"{NASTY}.pkl"))
        pipeline.compute([dj_neuron.connection.DelayRange(-0.02, 0.05)])
        with explorer(data_dir, "--prefix", prefix) as (address, _):
            stimulation = f"/stimulation/{quote(NASTY, safe='')}/2020-01-02/3/1"
            neuron = neuron_address(1, subject=NASTY)
            for path in ("/", stimulation, neuron, f"{neuron}?with_neuron=2", f"{stimulation}9"):
                page.goto(f"{address}{path}")
                page.locator("main h1").wait_for()
                page.wait_for_load_state("networkidle")
                assert NASTY in page.locator("main").inner_text(), path
                assert page.locator("main script").count() == 0
                assert NASTY in page.title() or path == "/" or path.endswith("9")
            page.goto("about:blank")
        dj_neuron.pipeline.drop(pipeline.database.connection, prefix)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/nowhere", "There is no page '/nowhere'."),
        ("//evil.example/x?y=1", "There is no page '//evil.example/x'."),
        ("/neuron/WT/2020-01-02/3/1/99", "There is no neuron 99 in this stimulation, expected one of: 1, 2, 3, 4."),
        ("/neuron/Nobody/2020-01-02/3/1/1", "There is no Nobody, 2020-01-02, sample 3, stimulation 1."),
        ("/stimulation/WT/yesterday/3/1", "cannot be read"),
        ("/?sort=weight", "sort='weight'"),
        ("/?page=0", "page 0 of the table, expected 1 to 1"),
        ("/?peak_z=high", "peak_z='high', expected LOWEST..HIGHEST"),
        ("/?row=7", "There is no estimate by row 7"),
        (neuron_address(1) + "?row=7", "There is no estimate by row 7"),
        (neuron_address(1) + "?block=99,1", "block='99,1'"),
        (neuron_address(1) + "?delay=soon", "delay='soon', expected a number"),
        (neuron_address(1) + "?spike=0", "spike 0"),
        (neuron_address(1) + "?with_neuron=55", "There is no neuron 55"),
    ],
)
def test_wrong_addresses_are_told_in_words_with_links_on(page, served, address, words):
    page.goto(f"{served}{address}")
    page.get_by_text(words).first.wait_for()
    assert page.get_by_role("link", name="Try again").evaluate("link => link.href") == page.url
    page.get_by_role("link", name="Neurons", exact=True).click()
    heading(page, "Neurons")


def test_the_pipeline_page_follows_what_is_computed(page, served, recorded, program):
    page.goto(f"{served}/pipeline")
    heading(page, "Pipeline")
    bar = page.get_by_role("progressbar", name="Significance")
    assert int(bar.get_attribute("aria-valuenow")) < 100
    assert page.locator("#diagram img").get_attribute("alt").startswith("Diagram of ")
    subprocess.run([program, "--data-dir", recorded, "compute"], check=True, capture_output=True)
    page.wait_for_function(
        "() => document.querySelector('[aria-label=Significance]').getAttribute('aria-valuenow') === '100'"
    )


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("/", "Neurons"),
        ("/?n_spikes=100000..", "Neurons"),
        ("/stimulation/WT/2020-01-02/3/1", "WT, 2020-01-02, sample 3"),
        (neuron_address(1), "Neuron 1"),
        (neuron_address(1, stimulation=2), "Neuron 1"),
        (neuron_address(4), "Neuron 4"),
        (neuron_address(1) + "?with_neuron=2", "Neuron 1"),
        (neuron_address(1) + "?with_row=2", "Neuron 1"),
        ("/pipeline", "Pipeline"),
        ("/nowhere", "There is nothing at this address"),
    ],
)
def test_pages_are_accessible(page, served, address, title):
    page.goto(f"{served}{address}")
    heading(page, title)
    page.wait_for_load_state("networkidle")
    assert violations(page) == []


def test_nothing_overflows_on_usual_screens(page, served):
    for address in ("/", neuron_address(1), "/stimulation/WT/2020-01-02/3/1", "/pipeline"):
        page.goto(f"{served}{address}")
        page.locator("main h1").wait_for()
        page.wait_for_load_state("networkidle")
        for width, height in WIDTHS:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(200)  # Plotly draws anew when the window has its size
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (
                width,
                address,
            )


def test_figures_keep_their_place_while_they_load(page, served):
    page.goto(f"{served}{neuron_address(1)}")
    heading(page, "Neuron 1")
    before = page.locator("main").bounding_box()["height"]
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    assert page.locator("main").bounding_box()["height"] == before


def test_two_windows_at_once(page, served):
    windows = [page, page.context.new_page()]
    for neuron_id, window in enumerate(windows, 1):
        window.goto(f"{served}{neuron_address(neuron_id)}")
    for neuron_id, window in enumerate(windows, 1):
        heading(window, f"Neuron {neuron_id}")
        window.keyboard.press("j")
    for neuron_id, window in enumerate(windows, 1):
        heading(window, f"Neuron {neuron_id + 1}")


# An empty database, and one that goes away


def test_an_empty_pipeline_says_how_to_begin(page, tmp_path, explorer):
    with explorer(tmp_path) as (address, _):
        page.goto(address)
        heading(page, "No recordings yet")
        page.get_by_text("dj-neuron build YOUR_FILE").wait_for()
        assert violations(page) == []
        page.goto(f"{address}/pipeline")
        page.get_by_text("Nothing is asked for yet").wait_for()
        page.goto("about:blank")  # before the server ends: the page asks every 3 s


def test_a_database_that_goes_away_and_comes_back(page, recorded, program, explorer):
    command = [program, "--data-dir", recorded]
    with explorer(recorded) as (address, _):
        page.goto(address)
        assert rows(page).count() == 9
        subprocess.run([*command, "db", "stop", "--force"], check=True, capture_output=True)
        # a page that is open says it where something is asked of it
        answer, text = call(address, *clicked(HERE))
        assert (answer.status, "The database does not answer: " in said_in(text)) == (200, True), text
        page.goto(address)
        heading(page, "The database does not answer")
        # another user of the same folder starts it; the explorer is not touched
        subprocess.run([*command, "status"], check=True, capture_output=True)
        page.get_by_role("link", name="Try again").click()
        heading(page, "Neurons")
        assert rows(page).count() == 9
        page.goto(f"{address}{neuron_address(1)}")
        heading(page, "Neuron 1")
        page.goto("about:blank")  # or the server would end in the middle of a script


# The server


def test_headers_protect_the_reader(served):
    answer, text = ask(served)
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Server"] in {None, ""}
    assert b'lang="en"' in text


def test_names_that_are_not_ours_are_refused(served):
    port = served.rpartition(":")[2]
    assert ask(served, Host=f"localhost:{port}")[0].status == 200
    for name in (f"evil.example:{port}", "evil.example", f"127.0.0.1.evil.example:{port}"):
        assert ask(served, Host=name)[0].status == 400


def test_whoever_listens_for_others_answers_to_addresses_and_own_names_only(recorded, explorer):
    options = ["--host", "0.0.0.0", "--allow-host", "Lab.example.org"]  # noqa: S104
    with explorer(recorded, explore=options) as (address, _):
        port = address.rpartition(":")[2]
        own = socket.gethostname()
        known = ("127.0.0.1", "192.0.2.7", "[2001:db8::1]", "localhost", own, own.upper(), "lab.example.org.")
        for name in known:
            assert ask(address, Host=f"{name}:{port}")[0].status == 200, name
        answer, text = ask(address, Host=f"rebound.example:{port}")
        assert answer.status == 400
        assert b"--allow-host" in text


names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}(\.[a-z0-9][a-z0-9-]{0,20}){0,3}", fullmatch=True)
ports = st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format))


@given(names, ports)
def test_a_name_is_own_only_if_it_is_known(name, port):
    is_address = re.fullmatch(r"(\d+\.){3}\d+", name) is not None
    assume(not is_address)
    assert not is_own(name + port, {"lab", "localhost"} - {name})
    assert is_own(name.upper() + "." + port, {name})


@given(st.ip_addresses(), ports)
def test_an_address_is_always_own(address, port):
    assert is_own((f"[{address}]" if address.version == 6 else str(address)) + port, ())


@pytest.mark.parametrize(
    "host", ["", ":80", "[::1", "[::1]x", "[::1].evil.example", "127.0.0.1.evil.example", "1", "[]"]
)
def test_what_is_no_host_is_nobodys(host):
    assert not is_own(host, {"localhost"})


UNFINISHED = ["", "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"]


@pytest.mark.parametrize("sent", UNFINISHED)
def test_who_holds_all_places_and_asks_for_nothing_gives_them_up(served, sent):
    place = ("127.0.0.1", int(served.rpartition(":")[2]))
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(socket.create_connection(place)) for _ in range(N_CONNECTIONS)]
        for holder in holders:
            with contextlib.suppress(ConnectionError):  # those before gave theirs up for those behind
                holder.sendall(sent.encode())
        for _ in range(3):
            assert ask(served, "/assets/explorer.css")[0].status == 200
        # who waited longest goes first
        holders[0].settimeout(30)
        with contextlib.suppress(ConnectionError):
            assert holders[0].recv(1) == b""
        # and no more than are needed: nobody waited until all were idle for too long
        holders[N_CONNECTIONS // 2].settimeout(0.1)
        with pytest.raises(TimeoutError):
            holders[N_CONNECTIONS // 2].recv(1)


def test_a_name_of_two_addresses_is_listened_on_at_both(monkeypatch):
    places = [(family, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for family, port in ((socket.AF_INET, 0),) * 2]
    monkeypatch.setattr("waitress.adjustments.socket.getaddrinfo", lambda *_: places)
    server = listen(lambda *_: [], "retina", 0)
    try:
        assert [port_of(server) > 0, len(server.effective_listen)] == [True, 2]
    finally:
        server.close()
        server.task_dispatcher.shutdown()


@pytest.mark.parametrize("dripped", ["a", "\r\n\r\n"])
def test_a_request_that_never_becomes_whole_is_not_waited_for(dripped, monkeypatch):
    monkeypatch.setattr(channel, "WHOLE_REQUEST_S", 0.3)
    server = listen(lambda environ, start: start("200 OK", [("Content-Length", "0")]) and [], "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with socket.create_connection(("127.0.0.1", server.effective_port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.1 200 OK"
            client.settimeout(0.1)
            with contextlib.suppress(ConnectionError):
                for _ in range(300):
                    client.sendall(dripped.encode())
                    with contextlib.suppress(TimeoutError):
                        while client.recv(1000):
                            pass
                        break
                else:
                    pytest.fail("the connection is still open")
    finally:
        server.close()
        server.task_dispatcher.shutdown()
        thread.join()


def test_large_and_broken_requests_are_refused(served):
    # refused by its header: nobody waits for the rest
    answer, _ = ask(served, "/_dash-update-component", "POST", **{"Content-Length": str(2 << 20)})
    assert answer.status == 413
    assert ask(served, Cookie="x" * (1 << 17))[0].status == 431
    for path in ("/assets/../app.py", "/assets/%2e%2e/app.py", "/_dash-component-suites/dash/../../secrets"):
        assert b"create_app" not in ask(served, path)[1]


@pytest.fixture(scope="module")
def refusing(recorded, explorer):
    """An explorer that is asked for what no page asks, and may not take any of it for a fault of its own."""
    with explorer(recorded) as (address, process):
        yield address
        process.terminate()
        assert "Traceback" not in process.communicate(timeout=30)[1]


@pytest.mark.parametrize("path", ["xx/yy", "dash/..%2f..%2fetc%2fpasswd", "plotly/%00"])
def test_scripts_that_are_not_there_are_not_found(refusing, path):
    answer, text = ask(refusing, f"/_dash-component-suites/{path}")
    assert (answer.status, b"there is no such script" in text) == (404, True)


NO_CALLBACK = {"output": "nope.children", "outputs": {"id": "nope", "property": "children"}, "inputs": []}

TICK = {
    "output": "..progress.children...diagram.children..",
    "outputs": [{"id": "progress", "property": "children"}, {"id": "diagram", "property": "children"}],
    "inputs": [{"id": "tick", "property": "n_intervals", "value": 1}],
    "changedPropIds": ["tick.n_intervals"],
}


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "null", "[]", "{}", "1", '"x"', "\0", b"\xff\xfe", "[" * 200_000, '{"a":' * 90_000,
        '{"output": "page.children"}',
        json.dumps({**NO_CALLBACK, "changedPropIds": []}),
        json.dumps({**NO_CALLBACK, "changedPropIds": [], "output": "arrived.data"}),
        json.dumps({**NO_CALLBACK, "changedPropIds": [], "outputs": []}),
        json.dumps({**NO_CALLBACK, "changedPropIds": None, "inputs": None}),
        json.dumps(TICK | {"changedPropIds": [["tick.n_intervals"]]}),
        json.dumps(TICK | {"state": {}}),
    ],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_what_is_no_callback_is_refused(refusing, body):
    assert posted(refusing, body).status == 400


def test_what_is_a_callback_is_answered(refusing):
    assert posted(refusing, json.dumps(TICK)).status == 200


def posted(address, body):
    return ask(address, "/_dash-update-component", "POST", body, **{"Content-Type": "application/json"})[0]


PAGE = ["page.children", "shown.data"]
OF = {"path": "/neuron/WT/2020-01-02/3/1/1", "row": 1, "side": "a"}


def shown(pathname="/", search="", before=None):
    return PAGE, [("url.pathname", pathname), ("url.search", search)], [("shown.data", before)]


def clicked(point, delay=0, of=OF):
    data = point if point is None or "points" in point else {"points": [point]}
    return (
        ["course-a.figure", "block-a.data"],
        [("strf-a.clickData", data)],
        [("delay.value", delay), ("of-a.data", of)],
    )


def at_spike(spike, delay=0, of=OF):
    return ["stimulus.children"], [("spike.value", spike), ("settled.data", delay)], [("of-a.data", of)]


HERE = {"x": 30, "y": 50}


@pytest.mark.parametrize(
    "asked",
    [
        shown(pathname=[]), shown(search=True), shown(before="x"),
        (PAGE, [("url.pathname", "/")]), (PAGE[::-1], *shown()[1:]), (PAGE, [("url.href", "/")], *shown()[2:]),
        clicked({"points": []}), clicked({"x": math.nan, "y": 1}), clicked({"x": 10**400, "y": 1}), clicked({"x": "1"}),
        clicked(HERE, -99), clicked(HERE, "soon"), clicked(HERE, None), clicked(HERE, 10**12), clicked(HERE, 0, None),
        clicked(HERE, 0, {**OF, "side": "<b>"}), clicked(HERE, 0, {**OF, "path": 1}),
        clicked(HERE, 0, {**OF, "row": "x"}),
        at_spike("x"), at_spike(1, -1), at_spike(1, {}), at_spike(1, 0, []),
    ],
)  # fmt: skip
def test_values_that_no_page_holds_are_refused(refusing, asked):
    answer, text = call(refusing, *asked)
    assert answer.status == 400
    assert b"callback" in text


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (shown("/neuron/%00/2020-01-02/3/1/1"), "the address says '\\x00', expected text"),
        (shown("/stimulation/\ud800/2020-01-02/3/1"), "the address says '\\ud800', expected text"),
        (shown(search="?label=%00"), "the address says '\\x00', expected text"),
        (shown(search="?label=\ud800"), "the address says '\\ud800', expected text"),
        (shown("/stimulation/WT/2020-01-02/3/99999999999"), "there is no WT"),
        (shown("/neuron/WT/2020-01-02/3/1/99999999999"), "there is no neuron 99999999999"),
        (shown(search="?n_spikes=1e400..nan&page=1"), "Neurons"),
        ((["neurons.children"], [("url.search", "?label=%00")], [("url.pathname", "/")]), "expected text"),
        (clicked(HERE, 999), "course"),
        (clicked(HERE, "1"), "course"),
        (clicked(HERE, 0, {**OF, "row": 77}), "There is no estimate by row 77"),
        (clicked(HERE, 0, {**OF, "path": OF["path"] + "9"}), "is not there any more"),
        (clicked(HERE, 0, {**OF, "path": "/pipeline"}), "is no neuron's"),
        (at_spike(1.5), "Expected a spike from 1"),
        (at_spike(math.nan), "Expected a spike from 1"),
        (at_spike(1, 999), "before the spike"),
        (at_spike(1, 0, {**OF, "path": "/"}), "is no neuron's"),
    ],
)
def test_what_cannot_be_shown_is_told_in_words(refusing, asked, words):
    answer, text = call(refusing, *asked)
    assert (answer.status, "fault of ours" in said_in(text)) == (200, False)
    assert words.lower() in said_in(text).lower()


def said_in(answer):
    """What an answer says, in a line."""
    return " ".join(texts_in(json.loads(answer))).replace("<br>", " ")


def texts_in(value):
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in texts_in(part)]


def test_a_fault_of_ours_is_told_in_words_and_logged_in_full(caplog):
    told = json.dumps(part_in_words(lambda: 1 / 0).to_plotly_json(), default=lambda one: one.to_plotly_json())
    assert "ZeroDivisionError: this is a fault of ours" in told
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


def test_several_clients_at_once(served):
    seen = []

    def read(neuron_id):
        for _ in range(5):
            answer, text = page_of(served, neuron_address(neuron_id))
            seen.append((answer.status, f"Neuron {neuron_id}".encode() in text))

    threads = [threading.Thread(target=read, args=(1 + i % 3,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(200, True)] * 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly(recorded, number, explorer):
    with explorer(recorded) as (address, process):
        assert ask(address)[0].status == 200
        started = time.monotonic()
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "Traceback" not in said
        assert time.monotonic() - started < 20


def test_an_address_in_use_is_told(recorded, served, program):
    port = served.rpartition(":")[2]
    command = [program, "--data-dir", recorded, "explore", "--port", port, "--no-browser"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in result.stderr


def test_without_dash_a_sentence_says_what_to_install(recorded):
    code = "import sys; sys.modules['dash'] = None; from dj_neuron.cli import main; main()"
    command = [sys.executable, "-c", code, "--data-dir", str(recorded), "explore", "--no-browser"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "pip install 'dj-neuron[explorer]'" in result.stderr
