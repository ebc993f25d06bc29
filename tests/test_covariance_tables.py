"""Filters beyond the average and ridge estimates, as the tables hold them."""

import numpy as np
import pytest

from dj_neuron import Movie
from dj_neuron.computing import DelayRange
from dj_neuron.contracts import SpikeTrain
from dj_neuron.errors import PipelineError
from dj_neuron.ingest import ingest_session
from dj_neuron.pipeline import covariance, experiment, strf
from dj_neuron.pipeline.stored import unpacked
from dj_neuron.strf import FrameClock, ridge_strf, spike_triggered_average, spike_triggered_covariance

RATE_HZ, N_FRAMES = 60.0, 12_000
DELAYS = np.arange(4) / RATE_HZ
WHOLE = DelayRange(0.0, DELAYS[-1])


@pytest.fixture
def complex_cell(make_session):
    """A session of a graded movie with an energy cell, a linear cell and a silent one."""
    rng = np.random.default_rng(0)
    frames = np.clip(rng.normal(0, 0.3, (N_FRAMES, 3, 4)), -1, 1).astype(np.float32)
    drive = frames.reshape(N_FRAMES, -1)[:, [4, 5]].sum(axis=1) / 0.42
    lagged = np.concatenate([[0], drive[:-1]])
    rates = (0.15 * lagged**2, 0.15 * np.exp(lagged), np.zeros(N_FRAMES))
    trains = []
    for number, rate in enumerate(rates, start=1):
        counts = rng.poisson(rate)
        frame = np.repeat(np.arange(N_FRAMES), counts)
        trains.append(SpikeTrain(number, np.sort((frame + rng.uniform(0, 1, frame.size)) / RATE_HZ)))
    timing = {"frame_rate_hz": RATE_HZ, "onset_s": 0.0}
    return make_session({"movie": Movie.from_frames(frames), "spike_trains": tuple(trains), **timing})


def test_a_complex_cell_has_filters_where_its_average_shows_nothing(pipeline, complex_cell):
    ingest_session(complex_cell)
    report = pipeline.compute(WHOLE)
    assert not report.errors
    rows = covariance.Covariance.Filters().to_dicts(order_by="neuron_id")
    energy, linear, silent = rows
    assert energy["n_filters"] >= 1
    assert energy["filter_variance"][0] > 1.5
    assert not energy["is_significant_region"]
    best = energy["filters"].load()[0]
    assert best.shape == (DELAYS.size, 3, 4)
    assert set(np.argsort(-np.abs(best[1]).ravel())[:2]) == {4, 5}
    assert linear["is_significant_region"]
    assert linear["n_filters"] == 0
    assert silent["covariance_reason"] == "0 spikes, expected at least 50"
    assert silent["filters"] is None


def test_the_table_holds_what_the_numerics_give(embedded, complex_cell):
    ingest_session(complex_cell)
    embedded.compute(WHOLE)
    stimulation = complex_cell.stimulations[0]
    row = (covariance.Covariance.Filters() & {"neuron_id": 2}).fetch1()
    mask = unpacked(row["looked_at"], (DELAYS.size, 3, 4))
    found = spike_triggered_covariance(
        stimulation.movie,
        FrameClock.of(stimulation),
        stimulation.spike_trains[1],
        DELAYS,
        mask,
        neuron_number=2,
        seed=1,
    )
    np.testing.assert_array_equal(found.eigenvalues, row["variances"])
    np.testing.assert_array_equal(found.p_value, row["p_values"])


def test_averages_and_ridge_estimates_live_side_by_side(pipeline, complex_cell):
    ingest_session(complex_cell)
    pipeline.compute(WHOLE)
    report = pipeline.compute(WHOLE, estimator="ridge")
    assert (report.n_computed, report.errors) == (1, ())
    assert set(strf.StrfParams().to_arrays("estimator")) == {"sta", "ridge"}
    stimulation = complex_cell.stimulations[0]
    what = (stimulation.movie, FrameClock.of(stimulation), stimulation.spike_trains, DELAYS)
    by_estimator = {
        name: {found.neuron_id: found for found in pipeline.strfs({"estimator": name})} for name in ("sta", "ridge")
    }
    ridge = ridge_strf(*what)
    for i in (0, 1):
        np.testing.assert_allclose(by_estimator["ridge"][i + 1].values, ridge.values[i], rtol=1e-5, atol=1e-8)
        average = spike_triggered_average(*what).values[i]
        np.testing.assert_allclose(by_estimator["sta"][i + 1].values, average, rtol=1e-5, atol=1e-7)
    scores = (strf.StrfEstimation.Strf() & {"neuron_id": 2} & (strf.StrfParams() & {"estimator": "ridge"})).fetch1()
    assert scores["ridge_score"] == pytest.approx(ridge.scores[1].max())
    assert scores["ridge_strength"] in ridge.strengths
    assert scores["peak_z"] is None
    # what rests on averages is not computed from ridge estimates
    assert len(covariance.Covariance()) == 1
    assert pipeline.status()["computed"]["Significance"] == {"done": 1, "total": 1}


def test_ridge_estimates_of_several_ranges_are_not_joined(embedded, complex_cell):
    ingest_session(complex_cell)
    for last_s in DELAYS[2:]:
        embedded.compute(DelayRange(0.0, last_s), estimator="ridge", judge=False)
    assert sorted(len(found.delays_s) for found in embedded.strfs(neuron_id=2)) == [3, 4]


def test_ridge_without_centring_is_refused(embedded):
    with pytest.raises(PipelineError, match="subtracting the mean"):
        embedded.compute(0.1, estimator="ridge", centre=False)


def test_a_stimulation_without_neurons_has_estimates_of_nobody(embedded, make_session):
    ingest_session(make_session({"spike_trains": ()}))
    for estimator in ("sta", "ridge"):
        assert embedded.compute(0.0, estimator=estimator).errors == ()
    assert len(strf.StrfEstimation()) == 2
    assert len(experiment.Neuron()) == 0
