"""What becomes of all results when a recording is changed in a way whose consequence is known exactly.

One recording is ingested beside changed copies of itself, each as a subject of its own, and all are computed in one go
with everything that follows from an STRF. Nothing here knows what the right results are: only how they must change.
"""

from dataclasses import replace

import numpy as np
import pytest

import dj_neuron
from dj_neuron import Movie
from dj_neuron.computing import DelayRange
from dj_neuron.contracts import SpikeTrain
from dj_neuron.ingest import ingest_session
from dj_neuron.pipeline import receptive_field
from dj_neuron.simulate import simulate

DELAYS = DelayRange(-0.1, 0.3)
N_CUT = 700  # frames in the first part of the recording that is split
SHIFT_S = 256.0
UNIT = 2.0  # how much longer micrometres and seconds become
# numbers of the neurons in the copy where they change places
RENUMBERED = {1: 2, 2: 3, 3: 1}
CHOSEN = (0, 1, 3)  # of the simulated neurons: two with a field, and one with two spikes
N_Y, N_X = 12, 16

# what random streams enter, which a neuron's number decides
FROM_NOISY_COURSES = {"time_to_peak_s_se", "zero_crossing_s_se", "biphasic_index_se", "lobe_duration_s_se"}
FROM_SHIFTS = {
    "p_value", "q_value", "p_value_smoothed", "p_value_field", "q_value_field", "threshold_z", "n_significant",
    "n_filters", "n_dimensions", "p_inseparable",
}  # fmt: skip
# every second or fourth place of a map smoothed over several blocks is looked at, counted from the left and the top
FROM_THE_LEFT = {"smoothed_z", "p_value_smoothed", "p_value_field", "q_value_field"}


def with_stimulation(session, subject, **changes):
    (stimulation,) = session.stimulations
    return replace(session, subject_name=subject, stimulations=(replace(stimulation, **changes),))


def trains(stimulation, times=lambda times_s: times_s):
    return tuple(SpikeTrain(train.neuron_id, times(train.times_s)) for train in stimulation.spike_trains)


def with_frames(session, subject, change):
    movie = session.stimulations[0].movie
    frames = np.ascontiguousarray(change(movie.frames()))
    return with_stimulation(session, subject, movie=Movie.from_frames(frames, block_size_px=movie.block_size_px))


def quarter_turn(frames):
    """To the right, as seen on the screen."""
    return np.rot90(frames, -1, axes=(1, 2))


def doubled(times_s):
    """Every spike twice: a spike that is there twice at the very same time is refused."""
    return np.sort(np.concatenate([times_s, times_s + 1e-9]))


def variants(session):
    """The recording and its changed copies; blocks are squares, so that a quarter of a turn leaves them as they are."""
    (stimulation,) = session.stimulations
    movie, rate_hz = stimulation.movie, stimulation.frame_rate_hz
    yield session
    yield with_stimulation(
        session,
        "later",
        onset_s=stimulation.onset_s + SHIFT_S,
        spike_trains=trains(stimulation, lambda times_s: times_s + SHIFT_S),
    )
    yield with_frames(session, "mirrored", lambda frames: frames[:, :, ::-1])
    yield with_frames(session, "upside down", lambda frames: frames[:, ::-1])
    yield with_frames(session, "turned", quarter_turn)
    yield with_frames(session, "inverted", lambda frames: -frames)
    yield with_stimulation(session, "doubled", spike_trains=trains(stimulation, doubled))
    yield with_stimulation(session, "larger", pixel_size_um=UNIT * stimulation.pixel_size_um)
    yield with_stimulation(
        session,
        "slower",
        frame_rate_hz=rate_hz / UNIT,
        onset_s=stimulation.onset_s * UNIT,
        spike_trains=trains(stimulation, lambda times_s: times_s * UNIT),
    )
    yield with_stimulation(session, "without the others", spike_trains=trains(stimulation)[1:2])
    renumbered = {RENUMBERED[train.neuron_id]: train.times_s for train in stimulation.spike_trains}
    yield with_stimulation(
        session, "renumbered", spike_trains=tuple(SpikeTrain(i, renumbered[i]) for i in sorted(renumbered))
    )
    edges_s = stimulation.onset_s + np.arange(movie.n_frames + 1) / rate_hz
    for subject, part in (("first part", slice(N_CUT)), ("second part", slice(N_CUT, None))):
        cut = Movie.from_frames(movie.frames()[part], block_size_px=movie.block_size_px)
        yield with_stimulation(
            session, subject, movie=cut, onset_s=edges_s[part.start or 0], spike_trains=trains(stimulation)
        )


@pytest.fixture(scope="module")
def computed(data_dir):
    """The STRFs and the receptive fields of all copies."""
    session, _ = next(simulate("small"))
    (stimulation,) = session.stimulations
    chosen = [stimulation.spike_trains[place] for place in CHOSEN]
    spike_trains = tuple(SpikeTrain(i, train.times_s) for i, train in enumerate(chosen, 1))
    prefix = "test_metamorphic"
    with dj_neuron.connect(data_dir, prefix=prefix) as pipeline:
        for variant in variants(with_stimulation(session, "as it is", spike_trains=spike_trains)):
            ingest_session(variant)
        receptive_field.SignificanceParams().insert1({"significance_params_id": 1, "n_shifts": 200})
        assert pipeline.compute(DELAYS).errors == ()
        yield pipeline.strfs(), pipeline.receptive_fields()
        dj_neuron.pipeline.drop(pipeline.database.connection, prefix)


@pytest.fixture(scope="module")
def results(computed):
    """A function that gives the STRFs and the receptive fields of one copy, by neuron."""

    def of(subject):
        return [
            {found.neuron_id: found for found in kind if found.stimulation_id.subject_name == subject}
            for kind in computed
        ]

    return of


def same(own):
    return own


def assert_measures(changed, expected, *, but=(), rel):
    differing = {
        name: (changed[name], value)
        for name, value in expected.items()
        if name not in but and changed[name] != (value if value is None else pytest.approx(value, rel=rel, abs=1e-9))
    }
    assert not differing, "(found, expected)"


def assert_changed(results, subject, *, values=same, measures=same, but=(), n_times=1):
    """Compare a copy with what functions make of the recording's own STRFs and measures, neuron by neuron."""
    (strfs, fields), (own_strfs, own_fields) = results(subject), results("as it is")
    assert list(strfs) == list(own_strfs) == [1, 2, 3]
    for neuron_id, own in own_strfs.items():
        np.testing.assert_allclose(strfs[neuron_id].values, values(own.values), rtol=0, atol=1e-6)
        np.testing.assert_allclose(strfs[neuron_id].standard_error, abs(values(own.standard_error)), rtol=1e-5)
        assert ledger(strfs[neuron_id]) == [[n_times * count for count in counts] for counts in ledger(own)]
        field, own_field = fields[neuron_id], own_fields[neuron_id]
        np.testing.assert_array_equal(field.significant, values(own_field.significant.astype(float)) != 0)
        np.testing.assert_array_equal(field.region, values(own_field.region[np.newaxis].astype(float))[0] != 0)
        assert field.reasons.keys() == own_field.reasons.keys()
        assert_measures(field.measures, measures(own_field.measures), but=but, rel=1e-3)


def ledger(strf):
    return [counts.tolist() for counts in strf.ledger]


def moved(own, **changes):
    """The measures with functions applied to those that are known."""
    return own | {name: change(own[name]) for name, change in changes.items() if own[name] is not None}


def scaled(own, names, factor):
    return moved(own, **dict.fromkeys(names, lambda value: value * factor))


def test_the_recording_has_what_is_to_be_compared(results):
    _, fields = results("as it is")
    assert [field.has_field for field in fields.values()] == [True, True, False]
    assert all(fields[neuron_id].measures["angle_deg"] is not None for neuron_id in (1, 2))


def test_a_later_recording_gives_the_same(results):
    assert_changed(results, "later")


def test_a_mirrored_movie_gives_a_mirrored_field(results):
    width_um = next(iter(results("as it is")[0].values())).extent_um[0]

    def mirrored(own):
        return moved(
            own,
            centre_x_um=lambda x_um: width_um - x_um,
            region_x_um=lambda x_um: width_um - x_um,
            angle_deg=lambda angle_deg: 180 - angle_deg,
            peak_column_idx=lambda column: N_X - 1 - column,
        )

    assert_changed(results, "mirrored", values=lambda values: values[..., ::-1], measures=mirrored, but=FROM_THE_LEFT)


def test_a_movie_upside_down_gives_a_field_upside_down(results):
    height_um = next(iter(results("as it is")[0].values())).extent_um[1]

    def upside_down(own):
        return moved(
            own,
            centre_y_um=lambda y_um: height_um - y_um,
            region_y_um=lambda y_um: height_um - y_um,
            angle_deg=lambda angle_deg: 180 - angle_deg,
            peak_row_idx=lambda row: N_Y - 1 - row,
        )

    assert_changed(
        results, "upside down", values=lambda values: values[:, ::-1], measures=upside_down, but=FROM_THE_LEFT
    )


def test_a_movie_turned_by_a_quarter_gives_a_field_turned_by_a_quarter(results):
    height_um = next(iter(results("as it is")[0].values())).extent_um[1]

    def turned(own):
        places = {
            "centre_x_um": own["centre_y_um"],
            "centre_y_um": own["centre_x_um"],
            "centre_x_um_se": own["centre_y_um_se"],
            "centre_y_um_se": own["centre_x_um_se"],
            "region_x_um": own["region_y_um"],
            "region_y_um": own["region_x_um"],
            "peak_row_idx": own["peak_column_idx"],
            "peak_column_idx": own["peak_row_idx"],
        }
        return moved(
            own | places,
            centre_x_um=lambda y_um: height_um - y_um,
            region_x_um=lambda y_um: height_um - y_um,
            angle_deg=lambda angle_deg: (angle_deg + 90) % 180,
            peak_column_idx=lambda row: N_Y - 1 - row,
        )

    assert_changed(results, "turned", values=quarter_turn, measures=turned, but=FROM_THE_LEFT)


def test_inverted_contrast_gives_the_opposite_field(results):
    def inverted(own):
        return scaled(own, ("polarity", "peak_z", "region_z"), -1)

    assert_changed(results, "inverted", values=np.negative, measures=inverted, but=FROM_NOISY_COURSES)


def test_every_spike_twice_tells_nothing_new(results):
    """Spikes of one frame are no independent evidence: averages and their errors stay, only counts and rates double."""

    def twice(own):
        return scaled(own, ("n_spikes", "n_used", "gain_hz"), 2)

    assert_changed(results, "doubled", measures=twice, n_times=2)


def test_larger_blocks_give_a_larger_field(results):
    def larger(own):
        lengths = [name for name in own if name.endswith(("_um", "_um_se"))]
        return scaled(scaled(own, lengths, UNIT), ("area_1_sigma_um2", "area_2_sigma_um2"), UNIT**2)

    assert_changed(results, "larger", measures=larger)


def test_a_slower_clock_gives_the_same_at_longer_delays(results):
    (strfs, _), (own_strfs, _) = results("slower"), results("as it is")
    for neuron_id, own in own_strfs.items():
        slower = strfs[neuron_id]
        at = [np.flatnonzero(np.isclose(own.delays_s, delay_s / UNIT)) for delay_s in slower.delays_s]
        places = np.concatenate(at)
        assert len(places) == len(slower.delays_s) >= 4
        np.testing.assert_allclose(slower.values, own.values[places], rtol=0, atol=1e-6)
        assert ledger(slower) == [[counts[place] for place in places] for counts in ledger(own)]


def test_a_neuron_does_not_depend_on_the_others(results):
    (strfs, fields), (own_strfs, own_fields) = results("without the others"), results("as it is")
    assert list(strfs) == [2]
    np.testing.assert_array_equal(strfs[2].values, own_strfs[2].values)
    assert_measures(fields[2].measures, own_fields[2].measures, but={"q_value", "q_value_field"}, rel=1e-9)


def test_neurons_that_change_places_take_their_results_along(results):
    (strfs, fields), (own_strfs, own_fields) = results("renumbered"), results("as it is")
    for own_id, neuron_id in RENUMBERED.items():
        np.testing.assert_array_equal(strfs[neuron_id].values, own_strfs[own_id].values)
        np.testing.assert_array_equal(strfs[neuron_id].standard_error, own_strfs[own_id].standard_error)
        assert_measures(
            fields[neuron_id].measures, own_fields[own_id].measures, but=FROM_NOISY_COURSES | FROM_SHIFTS, rel=1e-9
        )


def test_two_parts_of_a_recording_add_up_to_the_whole(results):
    (whole, _), (first, _), (second, _) = results("as it is"), results("first part"), results("second part")

    def sums(strf):
        n = strf.ledger.n_used[:, np.newaxis, np.newaxis]
        return np.where(n, np.nan_to_num(strf.values) + strf.pixel_mean, 0) * n

    for neuron_id, strf in whole.items():
        parts = first[neuron_id], second[neuron_id]
        np.testing.assert_array_equal(sum(part.ledger.n_used for part in parts), strf.ledger.n_used)
        np.testing.assert_array_equal(parts[0].ledger.n_before_onset, strf.ledger.n_before_onset)
        np.testing.assert_array_equal(parts[1].ledger.n_after_end, strf.ledger.n_after_end)
        np.testing.assert_allclose(sum(map(sums, parts)), sums(strf), rtol=0, atol=1e-3)
