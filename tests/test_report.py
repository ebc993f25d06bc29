"""The report: one page that stands alone, escapes what comes from files, and agrees with the pipeline."""

import base64
import datetime
import hashlib
import io
import itertools
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import dj_neuron
from accessibility import violations
from dj_neuron import figures
from dj_neuron.connection import DelayRange
from dj_neuron.contracts import Movie, Session, Source, SpikeTrain, Stimulation, StimulationId
from dj_neuron.errors import ContractError
from dj_neuron.figures import descriptions
from dj_neuron.figures.album import Album, Picture, data_uri
from dj_neuron.figures.gallery import draw_gallery, folder_names
from dj_neuron.figures.report import NeuronSection, Report, SessionSection, StimulationSection, render
from dj_neuron.figures.report.summary import COLUMNS, missing_measures
from dj_neuron.ingest import ingest_session

NASTY = "<script>alert(1)</script>"
VOID = {"meta", "img", "link", "br"}


class Page(HTMLParser):
    """A page as a browser would take it apart; what is opened must be closed."""

    def __init__(self, text):
        super().__init__()
        self.text = text
        self.elements, self.words, self._open = [], [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def rows(self, caption):
        """Cells of the body of the table whose caption begins so."""
        table = next(part for part in self.text.split("<table")[1:] if f"<caption>{caption}" in part)
        body = re.search(r"<tbody>(.*?)</tbody>", table, re.DOTALL).group(1)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("<tr>")[1:]]
        return [[re.sub(r"<[^>]+>", "", cell) for cell in row] for row in cells]


def make_sessions():
    """A session with names that are markup, three neurons, one of them silent, and a session without a stimulation."""
    rng = np.random.default_rng(0)
    spikes = ((300, NASTY), (0, "B & B"), (3, ""))
    trains = tuple(SpikeTrain(i, np.sort(rng.uniform(0, 5, n)), label) for i, (n, label) in enumerate(spikes, 1))
    movie = Movie.from_frames(rng.choice([-1, 1], (200, 3, 4)), block_size_px=(10, 20))
    shown = Stimulation(1, movie, 59.98, 1.25, 2.0, trains)
    day = datetime.date(2020, 1, 2)
    return (
        Session(NASTY, day, 3, (shown,), Source(NASTY, "0" * 64, "test"), note=f"note {NASTY}"),
        Session("WT", day, 4, source=Source("empty.pkl", "1" * 64, "test"), note="no light"),
    )


@pytest.fixture(scope="module")
def folder(data_dir, tmp_path_factory):
    """The gallery of these sessions, two neurons drawn, two rows of parameters, two formats."""
    prefix = "test_report_page"
    with dj_neuron.connect(data_dir, prefix=prefix) as pipeline:
        for session in make_sessions():
            ingest_session(session)
        pipeline.compute(DelayRange(-0.02, 0.05))
        pipeline.compute(DelayRange(-0.02, 0.05), frame_rule="nearest", judge=False)
        out = tmp_path_factory.mktemp("report") / "pictures"
        pipeline.figures(out, neuron_ids=[1, 2], formats=("png", "svg"))
        dj_neuron.pipeline.drop(pipeline.database.connection, prefix)
    return out


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def picture(**changes):
    values = {"caption": "c", "alt": "a", "files": (), "uri": "data:image/png;base64,", "width_px": 1, "height_px": 1}
    return Picture(**(values | changes))


# --- the page --------------------------------------------------------------------------------------


def test_the_page_stands_alone_and_runs_nothing(page):
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "embed", "form", "link", "base"}
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.elements for name in attributes)
    assert all(re.match(r"data:image/(webp|png);base64,", image["src"]) for image in page.all("img"))
    targets = [link["href"] for link in page.all("a")]
    assert not [target for target in targets if re.match(r"[a-z]+:|//", target)]
    assert "url(" not in page.text
    assert "@import" not in page.text


def test_the_policy_allows_its_own_style_and_pictures_only(page):
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL).group(1)
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'", "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip


def test_links_lead_to_anchors_and_files_that_exist(page, folder):
    anchors = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    for target in (link["href"] for link in page.all("a")):
        assert target[1:] in anchors if target.startswith("#") else (folder / target).is_file(), target
    for attributes in (attributes for _, attributes in page.elements if "aria-labelledby" in attributes):
        assert attributes["aria-labelledby"] in anchors


def test_every_picture_file_is_on_the_page_in_every_format(page, folder):
    linked = {link["href"] for link in page.all("a") if not link["href"].startswith("#")}
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.suffix in {".png", ".svg"}}
    assert linked == written
    assert len(page.all("img")) == len(written) / 2
    assert sum("compared" in name for name in written) == 2 * 2


def test_markup_in_names_and_labels_stays_words(page):
    assert NASTY not in page.text
    said = "".join(page.words)
    assert f"From {NASTY}." in said
    assert f"note {NASTY}" in said
    assert f"Neuron 1 ({NASTY})" in said
    assert "B & B" in said


def test_it_is_readable_without_eyes(page):
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert [tag for tag, _ in page.elements if tag in {"header", "nav", "main", "footer"}] == [
        "header", "nav", "main", "footer",
    ]  # fmt: skip
    assert page.all("a")[0]["href"] == "#content"
    assert all(re.search(r"\d|No |Too few|Silent", image["alt"]) for image in page.all("img"))
    assert all(int(image["width"]) > 100 and int(image["height"]) > 50 for image in page.all("img"))
    assert page.text.count("<table") == page.text.count("<caption>")
    for attributes in page.all("div"):
        if "tabindex" in attributes:
            assert attributes["role"] == "region"
            assert attributes["aria-label"]


def test_tables_agree_with_the_recording(page):
    overview = page.rows("All stimulations")
    assert [row[2:5] for row in overview] == [["0.1", "3", "303"]]
    rows = page.rows("All neurons")
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert [row[2] for row in rows] == ["300", "0", "3"]
    assert all(len(row) == 2 + len(COLUMNS) for row in rows)
    assert set(rows[1][3:]) == {"—"}
    said = "".join(page.words)
    assert "silent during this stimulation (neuron 2)" in said
    assert "Silent: no spike during this stimulation" in said
    assert "WT, 2020-01-02, sample 4: no light" in said
    assert "2, 1 of them without a stimulation" in said
    assert "strf_params_id 1, estimator sta, first_delay_s −0.02, last_delay_s 0.05, step_s 0, frame_rule floor" in said


def test_an_empty_pipeline_says_so(embedded, tmp_path):
    assert [path.name for path in draw_gallery(tmp_path / "out")] == ["pipeline.png"]
    said = "".join(Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8")).words)
    assert "There is no stimulation in this pipeline yet" in said
    assert "nothing was computed yet" in said


def test_before_anything_is_computed_neurons_are_listed(embedded, tmp_path):
    ingest_session(make_sessions()[0])
    draw_gallery(tmp_path / "out", neuron_ids=[1])
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert [row[2] for row in page.rows("All neurons")] == ["300", "0", "3"]
    said = "".join(page.words)
    assert "300 spikes; no STRF was computed yet." in said
    assert "not judged yet: compute goes on from the STRFs (neurons 1, 3)" in said


def test_a_page_stays_under_its_size_and_says_what_is_elsewhere():
    def shown(name):
        return picture(
            files=(f"{name}.png",), alt=f"seen in {name}", uri=f"data:image/png;base64,{name}" + "A" * 10_000
        )

    neurons = [
        NeuronSection(f"n{i}", f"neuron {i}", "", [], [shown(f"{i}-sheet"), shown(f"{i}-strf")]) for i in (1, 2, 3)
    ]
    one = StimulationSection("s", "s", "bars of light", 1.0, 0, 0, 0, 0, [], [], [shown("raster")], neurons)
    report = Report([], [], shown("diagram"), [SessionSection("session", "t", "", "", [one])], [])
    order = ["diagram", "raster", "1-sheet", "2-sheet", "3-sheet", "1-strf", "2-strf", "3-strf"]
    for n_embedded, most_bytes in ((8, 10_000_000), (6, 67_000), (4, 50_000), (0, 1_000)):
        page = Page(render(report, most_bytes=most_bytes))
        assert [one for one in order if f"base64,{one}A" in page.text] == order[:n_embedded]
        said = "".join(page.words)
        assert [one for one in order if f"seen in {one}" in said] == order[n_embedded:]
        assert {link["href"] for link in page.all("a")} >= {f"{one}.png" for one in order}
        assert (f"{8 - n_embedded} pictures" in said) == (n_embedded < 8)


def test_attributes_are_escaped_too():
    bad = '"><script>alert(1)</script>'
    report = Report([("Database", bad)], [], picture(alt=bad, caption=bad, files=("a.png",)), [], [(bad, bad)])
    page = Page(render(report))
    assert not page.all("script")
    assert page.all("img")[0]["alt"] == bad


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_complaint(folder, reader, width):
    reader.set_offline(True)
    shown = reader.new_page()
    shown.set_viewport_size({"width": width, "height": 900})
    said = []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.goto((folder / "report.html").as_uri())
    assert said == []
    assert violations(shown) == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    background = shown.evaluate("getComputedStyle(document.querySelector('header')).backgroundColor")
    assert background == "rgb(243, 234, 214)"  # the policy let the style through
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.className") == "skip"
    shown.keyboard.press("Enter")
    assert shown.url.endswith("#content")
    shown.close()


def test_reasons_that_differ_in_numbers_only_become_one():
    shown = make_sessions()[0].stimulations[0]
    one = {"space": "p is 0.2, above 0.05", "time": "p is 0.2, above 0.05", "prediction": "40 spikes"}
    fields = {
        1: SimpleNamespace(reasons=one),
        3: SimpleNamespace(reasons={"space": "p is 1e-1, above 0.05", "time": "p is 1e-1, above 0.05", "shape": ""}),
    }
    assert missing_measures(shown, fields) == [
        "prediction: 40 spikes (neuron 1)",
        "silent during this stimulation (neuron 2)",
        "space, time: p is 1e-1 to 0.2, above 0.05 (neurons 1, 3)",
    ]


# --- the album -------------------------------------------------------------------------------------


def plot(n=3):
    figure = Figure(figsize=(4, 3))
    figure.add_axes((0.1, 0.1, 0.8, 0.8)).plot(range(n))
    figure.text(0.1, 0.95, "words of mine")
    return figure


def test_pictures_are_written_in_every_format_once(tmp_path):
    album = Album(tmp_path, ["png", "svg", "pdf", "svg"])
    made = album.add(plot(), "a", caption="c", alt="a")
    assert made.files == ("a.png", "a.svg", "a.pdf")
    assert {path.name for path in tmp_path.iterdir()} == set(made.files)
    with Image.open(tmp_path / "a.png") as image:
        assert (made.width_px, made.height_px) == (round(image.width * 96 / 150), round(image.height * 96 / 150))


def test_the_page_holds_the_same_pixels_as_the_file(tmp_path):
    made = Album(tmp_path).add(plot(), "a", caption="", alt="")
    kind, _, encoded = made.uri.partition(",")
    content = base64.b64decode(encoded)
    with Image.open(io.BytesIO(content)) as shown, Image.open(tmp_path / "a.png") as file:
        assert kind == f"data:image/{shown.format.lower()};base64"
        np.testing.assert_array_equal(np.asarray(shown.convert("RGB")), np.asarray(file.convert("RGB")))
    assert len(content) <= (tmp_path / "a.png").stat().st_size


def test_what_webp_cannot_hold_stays_png(tmp_path):
    image = Image.new("RGB", (16384, 2))
    image.save(tmp_path / "wide.png")
    png = (tmp_path / "wide.png").read_bytes()
    assert data_uri(png, image) == f"data:image/png;base64,{base64.b64encode(png).decode()}"


@pytest.mark.parametrize("formats", [(), ("gif",), ("png", "jpg")])
def test_other_formats_are_refused(tmp_path, formats):
    with pytest.raises(ContractError, match="expected png, pdf, svg"):
        Album(tmp_path, formats)


def test_words_in_vector_files_are_words(tmp_path):
    svg = figures.save(plot(), tmp_path / "a.svg").read_text()
    root = ElementTree.fromstring(svg)  # noqa: S314 - ours
    assert "words of mine" in {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    pdf = figures.save(plot(), tmp_path / "a.pdf").read_bytes()
    assert b"/Subtype /Type0" in pdf or b"/Subtype /TrueType" in pdf
    assert b"/Subtype /Type3" not in pdf
    assert figures.save(plot(), tmp_path / "b.svg").read_text() == svg


def test_saving_leaves_the_settings_of_matplotlib_alone(tmp_path):
    import matplotlib as mpl  # noqa: PLC0415

    names = ("svg.fonttype", "pdf.fonttype", "svg.hashsalt")
    before = [mpl.rcParams[name] for name in names]
    figures.save(plot(), tmp_path / "a.svg")
    assert [mpl.rcParams[name] for name in names] == before


def test_stimulations_with_names_that_look_alike_get_folders_of_their_own():
    day = datetime.date(2020, 1, 2)
    ids = [StimulationId(name, day, 1, 1) for name in ("KO (a)", "KO-a", "ko a", "WT")]
    names = list(folder_names(ids).values())
    assert names[0] == "KO-a_2020-01-02_sample-1_stimulation-1"
    assert len({name.lower() for name in names}) == 4


# --- what is said of pictures ----------------------------------------------------------------------


def test_rasters_and_stills_are_described_by_their_numbers():
    shown = make_sessions()[0].stimulations[0]
    end_s = 1.25 + 200 / 59.98
    n_during = sum(1.25 <= time < end_s for time in shown.spike_trains[0].times_s)
    said = descriptions.describe_raster(shown)
    assert said.startswith("303 spikes of 3 neurons")
    assert f"from 1.25 to {end_s:.2f} s" in said
    assert f"from 0 to {n_during / (end_s - 1.25):.1f} Hz" in said.replace("0.00", "0")
    assert descriptions.describe_stills(shown) == (
        "4 × 3 checkers in grey: frames 0 at 1.250 s, 66 at 2.350 s, 133 at 3.467 s, 199 at 4.568 s."
    )


def test_the_page_describes_what_the_tables_hold(page):
    alts = [image["alt"] for image in page.all("img")]
    assert any(re.match(r"\d+ tables with \d+ references between them\. Rows: Subject 2", alt) for alt in alts)
    assert any("Receptive fields on a screen of 80 by 120 µm" in alt for alt in alts)
    assert (
        sum(alt.startswith("frame on the screen: The peak is at ") for alt in alts) == 1
    )  # the other neuron is silent
