"""Numbers behind the pictures of spike-triggered covariance, from a simulated complex cell."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure

from dj_neuron import Movie, figures, queries
from dj_neuron.computing import DelayRange
from dj_neuron.contracts import SpikeTrain
from dj_neuron.errors import ContractError, PipelineError
from dj_neuron.figures.covariance_picture import filter_delays
from dj_neuron.figures.gallery import draw_gallery
from dj_neuron.ingest import ingest_session
from dj_neuron.pipeline.covariance import Covariance

RATE_HZ, N_FRAMES = 60.0, 12_000
DELAYS = np.arange(4) / RATE_HZ
SHAPES = [(5, 6), (1, 12), (1, 1)]


@pytest.fixture(params=SHAPES, ids=str)
def shape(request):
    return request.param


@pytest.fixture
def covariances(embedded, make_session, shape):
    """Results of an energy cell that likes two blocks one frame ago, one that is silenced by them, and a silent one."""
    rng = np.random.default_rng(0)
    frames = np.clip(rng.normal(0, 0.3, (N_FRAMES, *shape)), -1, 1).astype(np.float32)
    drive = frames.reshape(N_FRAMES, -1)[:, :2].sum(axis=1)
    lagged = np.concatenate([[0], drive[:-1] / drive.std()])
    trains = []
    for number, rate in enumerate((0.15 * lagged**2, 0.6 * np.exp(-2 * lagged**2), np.zeros(N_FRAMES)), start=1):
        frame = np.repeat(np.arange(N_FRAMES), rng.poisson(rate))
        trains.append(SpikeTrain(number, np.sort((frame + rng.uniform(0, 1, frame.size)) / RATE_HZ)))
    timing = {"frame_rate_hz": RATE_HZ, "onset_s": 0.0}
    movie = Movie.from_frames(frames, block_size_px=(10, 20))
    ingest_session(make_session({"movie": movie, "spike_trains": tuple(trains), **timing}))
    assert not embedded.compute(DelayRange(0.0, DELAYS[-1])).errors
    return list(queries.covariances())


def new_axes():
    return Figure(figsize=(4, 3)).add_axes((0.2, 0.2, 0.7, 0.7))


def lines_of(ax):
    return {line.get_label(): line for line in ax.lines}


def words_of(artist):
    return "\n".join(text.get_text() for text in artist.texts)


def assert_contracts_are_what_the_tables_hold(covariances, shape):
    energy, silenced, silent = covariances
    for row, found in zip(Covariance.Filters().to_dicts(order_by="neuron_id"), covariances, strict=True):
        assert len(found.filters) == row["n_filters"]
        assert found.looked_at.shape == (DELAYS.size, *shape)
        assert found.reason == row["covariance_reason"]
    assert energy.filters[0].variance > 1.5
    assert energy.filters[0].is_excitatory
    assert silenced.filters[0].variance < 0.7
    assert not silenced.filters[0].is_excitatory
    assert energy.filters[0].block_size_um == (20.0, 40.0)
    assert energy.filters[0].extent_um == (20.0 * shape[1], 40.0 * shape[0])
    assert energy.filters[0].p_value <= energy.alpha < energy.next_p_value
    for found in (energy, silenced):
        np.testing.assert_allclose(found.variances[found.ranks], [each.variance for each in found.filters], rtol=1e-6)
        assert len(set(found.ranks)) == len(found.filters)
        assert all(np.linalg.norm(each.values) == pytest.approx(1, rel=1e-5) for each in found.filters)
        if shape != (1, 1):  # of four directions the average takes too much
            assert np.argmax(np.abs(found.filters[0].values).max(axis=(1, 2))) == 1
    assert silent.filters == ()
    assert silent.variances.size == 0
    assert np.isnan(silent.next_p_value)
    assert [found.neuron_id for found in queries.covariances("n_filters > 0")] == [1, 2]
    with pytest.raises(PipelineError, match="no condition"):
        list(queries.covariances("nonsense here"))


def assert_sheets_have_the_numbers_and_nothing_overlaps(covariances):
    energy, silenced, silent = covariances
    for covariance, name in ((energy, "excitatory"), (silenced, "suppressive")):
        marked = lines_of(figures.draw_variances(covariance, new_axes()))
        alike = [found.variance for found in covariance.filters if found.is_excitatory == (name == "excitatory")]
        np.testing.assert_allclose(sorted(marked[f"{name}: {len(alike)}"].get_ydata()), sorted(alike), rtol=1e-6)
        n_others = covariance.variances.size - len(covariance.filters)
        assert len(marked["not significant"].get_ydata()) == n_others
        figure = figures.covariance_picture(covariance)
        assert f"filter 1, {name}: variance" in words_of(figure)
        assert f"{covariance.looked_at.sum():,} " in words_of(figure)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        boxes = [text.get_window_extent(renderer) for text in figure.texts]
        boxes += [ax.get_tightbbox(renderer) for ax in figure.axes]
        for a, b in itertools.combinations(boxes, 2):
            assert min(min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)) < 3
    assert "0 spikes, expected at least 50" in words_of(figures.draw_variances(silent, new_axes())).replace("\n", " ")
    for number in (0, len(energy.filters) + 1):
        with pytest.raises(ContractError, match=f"filter is {number}, expected"):
            figures.draw_filter_course(energy, number, new_axes())


def assert_filters_are_drawn_as_the_stimulus_is(covariances, shape):
    energy = covariances[0]
    values = energy.filters[0].values
    if shape == (1, 1):
        course = figures.draw_filter_course(energy, 1, new_axes()).lines[-1]
        np.testing.assert_allclose(course.get_xdata(), DELAYS * 1e3)
        np.testing.assert_allclose(course.get_ydata(), values.ravel())
        return
    if shape[0] == 1:
        ax = figures.draw_filter_space_time(energy, 1, new_axes())
        (mesh,) = (found for found in ax.collections if isinstance(found, QuadMesh))
        np.testing.assert_allclose(mesh.get_array(), values[:, 0].T)
        looked_at = [found for found in ax.collections if isinstance(found, LineCollection)]
    else:
        ax = figures.draw_filter_frame(energy, 1, 1, new_axes())
        np.testing.assert_allclose(ax.images[0].get_array(), values[1])
        assert ax.images[0].get_clim()[1] == pytest.approx(np.abs(values).max())
        assert ax.yaxis_inverted()
        looked_at = ax.collections
        chosen = filter_delays(energy, 1, 2)
        assert chosen == sorted(chosen, reverse=True)
        assert 1 in chosen
        assert len(chosen) <= 2
    assert [lines.get_label() for lines in looked_at] == ["looked at"]


def test_a_complex_cell_from_tables_to_pictures(covariances, shape, tmp_path):
    assert_contracts_are_what_the_tables_hold(covariances, shape)
    assert_sheets_have_the_numbers_and_nothing_overlaps(covariances)
    assert_filters_are_drawn_as_the_stimulus_is(covariances, shape)
    names = {path.name for path in draw_gallery(tmp_path / "pictures", neuron_ids=[1, 3])}
    assert "neuron_001_covariance.png" in names
    assert "neuron_003_covariance.png" not in names
