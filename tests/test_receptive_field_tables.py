"""The tables downstream of the STRFs hold what the numerics give, whoever computes them, or a reason."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import dj_neuron
from dj_neuron import queries
from dj_neuron.connection import DelayRange
from dj_neuron.contracts import Movie, SpikeTrain
from dj_neuron.errors import PipelineError
from dj_neuron.ingest import ingest_session
from dj_neuron.pipeline.stored import packed, unpacked
from dj_neuron.strf import (
    FrameClock,
    circular_shift_null,
    data_sufficiency,
    find_region,
    fit_space,
    judge_significance,
    measure_mosaics,
    measure_time_course,
    predict_held_out,
    separate,
    smoothed_shift_null,
    spike_triggered_average,
)

DELAYS = DelayRange(-0.1, 0.3)
JUDGING = ("Significance", "ReceptiveField", "Mosaic", "Covariance", "Prediction", "Sufficiency")
KINDS = ("significance", "separability", "space", "time", "covariance", "prediction", "sufficiency")


@pytest.fixture(scope="module")
def small_prefix(data_dir, small_file):
    """The prefix of the small file, computed to the end."""
    with dj_neuron.connect(data_dir, prefix="judged") as pipeline:
        pipeline.ingest(small_file)
        assert pipeline.compute(DELAYS).errors == ()
    yield "judged"
    with dj_neuron.connect(data_dir, prefix="judged") as pipeline:
        dj_neuron.pipeline.drop(pipeline.database.connection, "judged")


@pytest.fixture
def small(data_dir, small_prefix):
    """The pipeline that holds the small file."""
    with dj_neuron.connect(data_dir, prefix=small_prefix) as pipeline:
        yield pipeline


@pytest.fixture
def make_driven(make_session):
    """Make a session of one stimulation: neuron 1 fires after a block was bright, 2 never, 3 at random."""

    def make(shape=(1500, 5, 6), *, levels=2, ids=(1, 2, 3), rate_hz=60.0, sample_number=3):
        rng = np.random.default_rng(0)
        frames = rng.choice([-1, 1], shape) if levels == 2 else rng.uniform(-1, 1, shape)
        drive = frames[:, shape[1] // 2, shape[2] // 2]
        bright = np.flatnonzero((drive > 0.5) & (rng.random(shape[0]) < 0.5))
        trains = {1: (bright + 4.5) / rate_hz + 1.25, 2: (), 3: np.sort(1.25 + rng.uniform(0, shape[0] / rate_hz, 300))}
        changes = {
            "movie": Movie.from_frames(frames, block_size_px=(10, 20)),
            "frame_rate_hz": rate_hz,
            "spike_trains": tuple(SpikeTrain(i, trains[i]) for i in ids),
        }
        return make_session(changes, sample_number=sample_number)

    return make


def by_neuron(restriction=True):
    return {row["neuron_id"]: row for row in queries.neuron_table(restriction)}


def same(found, expected):
    """Null stands for what is not finite."""
    if not np.isfinite(expected):
        return found is None
    return found == pytest.approx(expected, rel=1e-9)


def test_tests_are_those_of_the_numerics(small):
    for stimulation_id in queries.stimulation_ids():
        stimulation = queries.stimulation(stimulation_id)
        clock = FrameClock.of(stimulation)
        what = (stimulation.movie, clock, stimulation.spike_trains, clock.delays_between(-0.1, 0.3))
        numbers = [train.neuron_id for train in stimulation.spike_trains]
        null = circular_shift_null(*what, neuron_numbers=numbers, seed=1)
        smoothed = smoothed_shift_null(*what, stimulation.block_size_um, null)
        expected = judge_significance(spike_triggered_average(*what), null, 1 / clock.frame_rate_hz, smoothed=smoothed)
        fields = small.receptive_fields(dataclasses.asdict(stimulation_id))
        assert [field.neuron_id for field in fields] == numbers
        for i, field in enumerate(fields):
            for name in (
                *("p_value", "q_value", "p_value_analytic", "threshold_z"),
                *("smoothed_z", "p_value_smoothed", "p_value_field", "q_value_field"),
            ):
                assert same(field.measures[name], getattr(expected, name)[i]), name
            np.testing.assert_array_equal(field.significant, expected.is_significant[i])
            np.testing.assert_array_equal(field.null_maxima, null.maxima[i].astype(np.float32))
            assert field.has_field == (expected.p_value_field[i] <= 0.05) == (field.measures["region_z"] is not None)


def test_receptive_fields_are_those_of_the_numerics_on_the_stored_strfs(small):
    strfs = {(strf.stimulation_id, strf.neuron_id): strf for strf in small.strfs()}
    fields = [field for field in small.receptive_fields() if field.has_field]
    assert len(fields) >= 10
    for field in fields:
        strf = strfs[field.stimulation_id, field.neuron_id]
        places = field.significant if field.significant.any() else np.ones_like(field.significant)
        region = find_region(strf.z, strf.delays_s, strf.block_size_um, significant=places)
        seed = int(np.random.SeedSequence(1, spawn_key=(field.neuron_id,)).generate_state(1)[0])
        split = separate(strf.values, strf.standard_error, strf.delays_s, region.blocks, seed=seed)
        fit = fit_space(split.spatial_map, split.spatial_map_se, strf.block_size_um, region)
        course = measure_time_course(
            split.time_course, split.time_course_se, strf.delays_s, noise_correlation=split.noise_correlation, seed=seed
        )
        measures = field.measures
        np.testing.assert_array_equal(field.region, region.blocks)
        # standard errors come back from float32 in the contract, in float64 in the table
        np.testing.assert_allclose(field.spatial_map, split.spatial_map, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(field.time_course, split.time_course, rtol=1e-3, atol=1e-5)
        assert measures["separability"] == pytest.approx(split.separability, rel=1e-3)
        for name in ("centre_x_um", "centre_y_um", "sigma_major_um", "sigma_major_um_se", "r_squared"):
            expected = getattr(fit, name)
            assert measures[name] == (pytest.approx(expected, rel=0.01) if np.isfinite(expected) else None), name
        assert (field.axes, field.model, measures["cut_by_edge"]) == (fit.axes, fit.model, fit.cut_by_edge)
        assert measures["polarity"] == course.polarity
        for name, own in (("time_to_peak_s", "time_to_peak_s"), ("lobe_duration_s", "duration_s")):
            expected = getattr(course, own)
            assert measures[name] == (pytest.approx(expected, rel=1e-3) if np.isfinite(expected) else None)
        assert field.reasons.get("space", "") == fit.reason
        assert field.reasons.get("time", "") == course.reason


def test_predictions_sufficiency_and_mosaics_are_those_of_the_numerics(small):
    stimulation_id = queries.stimulation_ids()[0]
    stimulation = queries.stimulation(stimulation_id)
    clock = FrameClock.of(stimulation)
    what = (stimulation.movie, clock, stimulation.spike_trains, clock.delays_between(-0.1, 0.3))
    key = dataclasses.asdict(stimulation_id)
    fields = small.receptive_fields(key)
    found = data_sufficiency(*what)
    for i, (field, score) in enumerate(zip(fields, predict_held_out(*what, stimulation.block_size_um), strict=True)):
        for name in ("test_correlation", "test_correlation_se", "bits_per_spike"):
            assert same(field.measures[name], getattr(score, name)), name
        assert field.reasons.get("prediction", "") == score.reason
        assert (field.nonlinearity is None) == (score.nonlinearity is None)
        if field.nonlinearity:
            np.testing.assert_array_equal(field.nonlinearity.rate_hz, score.nonlinearity.rate_hz)
            assert field.nonlinearity.rate_at(0.5) == pytest.approx(score.nonlinearity.rate_at(0.5))
        for name in ("split_half_r", "reliability", "minutes_needed"):
            assert same(field.measures[name], getattr(found, name)[i]), name
        np.testing.assert_array_equal(field.growth.minutes, found.minutes)
        np.testing.assert_array_equal(field.growth.map_r, found.map_r[i])
    shapes = [shape_of(field) for field in fields]
    polarities = [field.measures["polarity"] or 0 for field in fields]
    expected = measure_mosaics(shapes, polarities, fields[0].extent_um, seed=1)
    mosaics = list(queries.mosaics(key))
    assert [mosaic.polarity for mosaic in mosaics] == [1, -1]
    for mosaic in mosaics:
        own = expected[mosaic.polarity]
        np.testing.assert_array_equal(mosaic.nearest_um, own.nearest_um)
        assert mosaic.measures["n_fields"] == own.n_fields
        assert same(mosaic.measures["regularity_index"], own.regularity_index)
        assert same(mosaic.measures["p_random"], own.p_random)
        assert mosaic.reason == own.reason


def shape_of(field):
    names = ("centre_x_um", "centre_y_um", "sigma_major_um", "sigma_minor_um", "angle_deg")
    known = {name: field.measures[name] for name in names if field.measures[name] is not None}
    return dj_neuron.strf.FieldShape(**known)


def test_every_measure_that_is_missing_has_a_reason(small):
    of_kind = {
        "significance": ("p_value", "threshold_z"),
        "separability": ("separability",),
        "space": ("centre_x_um", "centre_y_um", "sigma_major_um", "area_1_sigma_um2"),
        "time": ("polarity", "time_to_peak_s", "zero_crossing_s", "biphasic_index", "lobe_duration_s"),
        "prediction": ("test_correlation", "bits_per_spike"),
        "sufficiency": ("split_half_r", "minutes_needed"),
    }
    bars = {"x": {"centre_y_um", "area_1_sigma_um2"}, "y": {"centre_x_um", "area_1_sigma_um2"}}
    for field in small.receptive_fields():
        for kind, names in of_kind.items():
            missing = {name for name in names if field.measures[name] is None} - bars.get(field.axes, set())
            assert not missing or field.reasons.get(kind), (field.label, kind, missing)
        assert set(field.reasons) <= set(KINDS)


def test_the_neuron_table_has_one_row_per_strf_and_all_its_columns(small):
    rows, columns = queries.neuron_table(), queries.neuron_columns()
    names = [column.name for column in columns]
    assert len(rows) == queries.counts()["strfs"] == 14
    assert all(list(row) == names for row in rows)
    wanted = (
        "n_spikes n_used peak_z peak_delay_s noise_z p_value q_value polarity centre_x_um centre_x_um_se centre_y_um "
        "centre_y_um_se sigma_major_um sigma_major_um_se sigma_minor_um sigma_minor_um_se angle_deg angle_deg_se "
        "time_to_peak_s zero_crossing_s biphasic_index separability test_correlation bits_per_spike split_half_r"
    )
    assert set(wanted.split()) <= set(names)
    assert all(column.meaning for column in columns)
    units = {column.name: column.unit for column in columns}
    assert (units["centre_x_um_se"], units["time_to_peak_s"], units["area_1_sigma_um2"]) == ("um", "s", "um^2")
    assert (units["gain_hz"], units["angle_deg"], units["minutes_needed"], units["p_value"]) == ("Hz", "deg", "min", "")
    strf = small.strfs(neuron_id=1, sample_number=1)[0]
    row = by_neuron({"sample_number": 1})[1]
    assert row["n_used"] == strf.ledger.n_used.max()
    assert row["n_spikes"] == strf.n_spikes
    asked = ((queries.neuron_table, "neurons"), (queries.receptive_fields, "neurons"), (queries.mosaics, "mosaics"))
    for query, what in asked:
        with pytest.raises(PipelineError, match=f"'nonsense here' is no condition on {what}"):
            list(query("nonsense here"))


def test_strfs_alone_have_rows_without_measures_and_are_judged_later(embedded, make_driven):
    ingest_session(make_driven())
    report = embedded.compute(0.07, judge=False)
    assert report.computed == {"StrfEstimation": 1}
    row = by_neuron()[1]
    assert (row["p_value"], row["polarity"], row["significance_params_id"]) == (None, None, None)
    assert row["peak_z"] > 5
    assert embedded.receptive_fields() == []
    report = embedded.compute()
    assert report.computed == {"StrfEstimation": 0, **dict.fromkeys(JUDGING, 1)}
    assert len(embedded.receptive_fields()) == 3
    assert embedded.status()["computed"]["Mosaic"] == {"done": 1, "total": 1}


@pytest.mark.parametrize(
    ("shape", "axes"), [((1500, 5, 6), "xy"), ((1500, 1, 12), "x"), ((1500, 12, 1), "y"), ((1500, 1, 1), "")]
)
def test_driven_silent_and_random_neurons_under_any_movie(pipeline, make_driven, shape, axes):
    ingest_session(make_driven(shape))
    assert pipeline.compute(DelayRange(-0.05, 0.2)).errors == ()
    driven, silent, random = pipeline.receptive_fields()
    assert driven.measures["p_value"] == pytest.approx(1 / 1001)
    assert driven.significant.any()
    assert driven.axes == axes
    assert driven.significant.shape[1:] == driven.spatial_map.shape == shape[1:]
    assert driven.measures["test_correlation"] > 0.3
    assert driven.extent_um == (shape[2] * 20, shape[1] * 40)
    assert silent.measures["p_value"] is None
    assert set(silent.reasons) == set(KINDS)
    assert not silent.has_field
    assert np.isnan(silent.spatial_map).all()
    assert np.isnan(silent.time_course).all()
    assert 1 / 1001 < random.measures["p_value"] <= 1
    assert [mosaic.measures["n_fields"] for mosaic in queries.mosaics()] == [0, 0] or axes == "xy"


@pytest.mark.parametrize(
    ("delays", "kind", "reason"),
    [
        (0.07, "time", "1 delay(s) of 0 s and more"),
        (DelayRange(-0.2, -0.1), "significance", "too few spikes, at any delay of 0 s or more"),
        (DelayRange(-0.2, -0.1), "prediction", "no delay is 0 s or more"),
    ],
)
def test_few_delays_leave_reasons(embedded, make_driven, delays, kind, reason):
    ingest_session(make_driven())
    assert embedded.compute(delays).errors == ()
    assert reason in embedded.receptive_fields(neuron_id=1)[0].reasons[kind]


def test_short_and_graded_movies_and_stimulations_without_neurons(embedded, make_driven, make_session):
    ingest_session(make_driven((20, 3, 4)))
    ingest_session(make_driven((1500, 3, 4), levels=0, sample_number=4))
    ingest_session(make_session({"spike_trains": ()}, sample_number=5))
    report = embedded.compute(DELAYS)
    assert report.errors == ()
    assert report.computed == dict.fromkeys(("StrfEstimation", *JUDGING), 3)
    short = embedded.receptive_fields(neuron_id=1, sample_number=3)[0]
    assert short.reasons["significance"] == "0 shift(s) are too few for a chance of 0.05"
    assert "expected at least two stretches" in short.reasons["sufficiency"]
    graded = embedded.receptive_fields(neuron_id=1, sample_number=4)[0]
    assert graded.measures["polarity"] == 1
    assert embedded.receptive_fields(sample_number=5) == []
    assert len(list(queries.mosaics({"sample_number": 5}))) == 2


def test_raw_and_centred_averages_have_the_same_field(embedded, make_driven):
    ingest_session(make_driven())
    embedded.compute(DELAYS)
    embedded.compute(DELAYS, centre=False)
    centred, raw = embedded.receptive_fields(neuron_id=1)
    for name in ("p_value", "peak_z", "centre_x_um", "time_to_peak_s", "separability"):
        assert raw.measures[name] == pytest.approx(centred.measures[name], rel=1e-3), name


def test_results_depend_on_seed_and_neuron_not_on_company_or_process(embedded, make_driven, data_dir, prefix):
    ingest_session(make_driven())
    ingest_session(make_driven(ids=(3,), sample_number=4))
    ingest_session(make_driven(ids=(1,), sample_number=5))
    # another process does the work ...
    code = f"import dj_neuron; dj_neuron.connect({str(data_dir)!r}, prefix={prefix!r}).compute(0.07)"
    subprocess.run([sys.executable, "-c", code], check=True)
    there = queries.neuron_table()
    assert len(there) == 5
    together = by_neuron({"sample_number": 3})
    for sample, neuron in ((4, 3), (5, 1)):
        alone = by_neuron({"sample_number": sample})[neuron]
        own = {"sample_number", "q_value", "q_value_field"}  # q values are those of a population
        assert {name: value for name, value in alone.items() if name not in own} == {
            name: value for name, value in together[neuron].items() if name not in own
        }
    # ... and this one again
    (embedded.strf.StrfEstimation()).delete(prompt=False)
    assert queries.neuron_table() == []
    embedded.compute()
    assert queries.neuron_table() == there


def test_another_seed_gives_another_null_beside_the_first(embedded, make_driven):
    ingest_session(make_driven())
    embedded.compute(0.07)
    params = embedded.receptive_field.SignificanceParams()
    params.insert1({"significance_params_id": 2, "n_shifts": 100, "seed": 7})
    embedded.compute()
    rows = queries.neuron_table({"neuron_id": 1})
    assert [row["significance_params_id"] for row in rows] == [1, 2]
    assert [row["p_value"] for row in rows] == pytest.approx([1 / 1001, 1 / 101])
    assert rows[0]["threshold_z"] != rows[1]["threshold_z"]
    assert [row["receptive_field_params_id"] for row in rows] == [1, 1]


def test_replacing_delays_removes_what_followed_from_the_others(pipeline, make_driven):
    ingest_session(make_driven())
    pipeline.compute([0.05, 0.1])
    assert {table.name: table.n_rows for table in queries.tables()}["Field"] == 6
    report = pipeline.compute(0.1, replace=True)
    assert (report.n_computed, report.n_already_there, report.n_removed) == (0, 1, 1)
    rows = {table.name: table.n_rows for table in queries.tables()}
    assert [rows[name] for name in ("StrfEstimation", *JUDGING)] == [1] * 7
    assert [rows[name] for name in ("Strf", "Judgement", "Field", "Score", "Agreement")] == [3] * 5
    assert rows["Regularity"] == 2


def test_every_result_keeps_the_code_version_and_duration(small):
    tables = [table for _, table in queries.table_classes() if table.__name__ in JUDGING]
    assert len(tables) == len(JUDGING)
    for table in tables:
        for row in table().proj("code_version", "duration_s").to_dicts():
            assert row["code_version"] == dj_neuron.__version__
            assert row["duration_s"] > 0


def test_a_mask_is_stored_bit_by_bit():
    mask = np.random.default_rng(0).random((3, 5, 7)) < 0.3
    assert packed(mask).nbytes == 14
    np.testing.assert_array_equal(unpacked(packed(mask), mask.shape), mask)


def test_a_noise_ceiling_comes_from_showings_of_the_same_movie(pipeline, make_session):
    rng = np.random.default_rng(5)
    movie = Movie.from_frames(rng.choice([-1, 1], (400, 3, 4)), block_size_px=(10, 20))
    reliable = np.sort(rng.choice(400, 120, replace=False)) + 0.5
    stimulations = [
        {
            "movie": movie,
            "onset_s": onset_s,
            "spike_trains": (
                SpikeTrain(1, onset_s + reliable / 59.98),
                SpikeTrain(2, np.sort(onset_s + rng.uniform(0, 6.6, 150))),
            ),
        }
        for onset_s in (1.0, 21.0, 41.0)
    ]
    ingest_session(make_session(*stimulations, {"onset_s": 61.0}))
    assert pipeline.compute(DelayRange(-0.05, 0.2)).errors == ()
    for row in queries.neuron_table():
        if row["stimulation_number"] == 4:
            assert (row["n_trials"], row["noise_ceiling"]) == (0, None)
            continue
        assert row["n_trials"] == 3
        assert row["noise_ceiling"] == pytest.approx(1) if row["neuron_id"] == 1 else row["noise_ceiling"] < 0.4
