"""Spikes in the objects of SpikeInterface and Neo: right to the sample, on the right clock."""

import datetime

import neo
import numpy as np
import pytest
import quantities as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from spikeinterface.core import NumpyRecording, NumpySorting

from dj_neuron import Movie, Session, Stimulation
from dj_neuron.errors import ContractError
from dj_neuron.readers.spike_objects import spike_trains_from_neo, spike_trains_from_sorting

RATE_HZ = 30_000.0


def sorting(*segments, rate_hz=RATE_HZ):
    return NumpySorting.from_unit_dict(list(segments), rate_hz)


def test_units_keep_their_ids_as_labels():
    trains = spike_trains_from_sorting(sorting({"#7": np.array([3, 60_000]), "#2": np.array([], np.int64)}))
    assert [(train.neuron_id, train.label, train.times_s.tolist()) for train in trains] == [
        (1, "#7", [0.0001, 2.0]),
        (2, "#2", []),
    ]


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 2**40), max_size=20, unique=True),
    st.sampled_from([24414.0625, 20_000.0, 30_000.0, 29999.83]),
)
def test_a_spike_is_at_its_sample(samples, rate_hz):
    (train,) = spike_trains_from_sorting(sorting({1: np.array(sorted(samples), np.int64)}, rate_hz=rate_hz))
    assert np.round(train.times_s * rate_hz).astype(np.int64).tolist() == sorted(samples)
    np.testing.assert_array_equal(train.times_s, np.array(sorted(samples)) / rate_hz)


def test_every_segment_has_its_clock():
    made = sorting({1: np.array([30_000])}, {1: np.array([60_000])})
    with pytest.raises(ContractError, match="the sorting has 2 segments, each with its own clock, expected segment"):
        spike_trains_from_sorting(made)
    with pytest.raises(ContractError, match="segment_index is 2, expected 0 to 1"):
        spike_trains_from_sorting(made, segment_index=2)
    assert spike_trains_from_sorting(made, segment_index=1)[0].times_s.tolist() == [2.0]


def test_a_recording_gives_the_clock():
    made = sorting({1: np.array([10, 300])})
    recording = NumpyRecording([np.zeros((1000, 1), np.int16)], RATE_HZ)
    recording.shift_times(12.5)
    made.register_recording(recording)
    (train,) = spike_trains_from_sorting(made)
    np.testing.assert_allclose(train.times_s, 12.5 + np.array([10, 300]) / RATE_HZ, rtol=0, atol=1e-12)
    recording = NumpyRecording([np.zeros((1000, 1), np.int16)], RATE_HZ)
    recording.set_times(5 + np.arange(1000) / 29_990.0)  # a clock that was synchronised with another
    made = sorting({1: np.array([10, 300])})
    made.register_recording(recording)
    (train,) = spike_trains_from_sorting(made)
    np.testing.assert_allclose(train.times_s, 5 + np.array([10, 300]) / 29_990.0, rtol=0, atol=1e-12)


def test_some_units_with_numbers_of_their_own():
    made = sorting({"a": np.array([1]), "b": np.array([2]), "c": np.array([3])})
    trains = spike_trains_from_sorting(made, unit_ids=["c", "a"], neuron_ids={"a": 12, "b": 4, "c": 9})
    assert [(train.neuron_id, train.label) for train in trains] == [(9, "c"), (12, "a")]
    assert [train.neuron_id for train in spike_trains_from_sorting(made, unit_ids=["c", "a"])] == [1, 3]
    with pytest.raises(ContractError, match=r"the sorting has no unit 'd', expected one of a, b, c"):
        spike_trains_from_sorting(made, unit_ids=["d"])
    with pytest.raises(ContractError, match="unit 'c' has no number in neuron_ids"):
        spike_trains_from_sorting(made, neuron_ids={"a": 1, "b": 2})
    for wrong in (1.5, "1"):
        with pytest.raises(ContractError, match=rf"unit 'a' is {wrong!r} in neuron_ids, expected a whole number"):
            spike_trains_from_sorting(made, neuron_ids={"a": wrong, "b": 2, "c": 3})
    with pytest.raises(ContractError, match="units 'a' and 'b' are both neuron 1, expected one each"):
        spike_trains_from_sorting(made, neuron_ids={"a": 1, "b": 1, "c": 2})


def neo_train(times, units="ms", **told):
    return neo.SpikeTrain(times, units=units, t_stop=1e9, **told)


def segment(*trains):
    made = neo.Segment()
    made.spiketrains.extend(trains)
    return made


def test_trains_of_neo_come_in_seconds():
    made = segment(
        neo_train([1500.0, 20.25], name="unit 3"),
        neo_train([2.5], "s", unit_id=8),
        neo_train([4_000_000.0], "us", id=5, t_start=3 * pq.s),
        neo_train([], "s"),
    )
    trains = spike_trains_from_neo(made)
    assert [(train.neuron_id, train.label) for train in trains] == [(1, "unit 3"), (2, "8"), (3, "5"), (4, "")]
    for train, expected in zip(trains, ([0.02025, 1.5], [2.5], [4.0], []), strict=True):
        np.testing.assert_allclose(train.times_s, expected, rtol=1e-15)


def test_a_block_with_several_segments():
    block = neo.Block()
    block.segments.extend(
        [segment(neo_train([1.0], name="a"), neo_train([2.0], name="b")), segment(neo_train([3.0], name="b"))]
    )
    with pytest.raises(
        ContractError, match="the block has 2 segments, each with its own clock, expected segment_index"
    ):
        spike_trains_from_neo(block)
    with pytest.raises(ContractError, match="segment_index is -1, expected 0 to 1"):
        spike_trains_from_neo(block, segment_index=-1)
    (train,) = spike_trains_from_neo(block, segment_index=1, neuron_ids={"a": 1, "b": 2})
    assert (train.neuron_id, train.label, train.times_s.tolist()) == (2, "b", [0.003])
    block.segments.pop()
    assert len(spike_trains_from_neo(block)) == 2


@pytest.mark.parametrize("wrong", ["0", 0.0, True, 2])
def test_an_index_of_a_segment_is_a_whole_number(wrong):
    words = rf"segment_index is {wrong!r}, expected 0 to 0"
    block = neo.Block()
    block.segments.append(segment(neo_train([1.0])))
    for take, made in (
        (spike_trains_from_neo, block),
        (spike_trains_from_neo, block.segments[0]),
        (spike_trains_from_sorting, sorting({1: np.array([10])})),
    ):
        with pytest.raises(ContractError, match=words):
            take(made, segment_index=wrong)


def test_what_is_no_sorting_and_no_segment_is_refused():
    with pytest.raises(ContractError, match="the block has no segments, expected at least one"):
        spike_trains_from_neo(neo.Block())
    for wrong in (neo_train([1.0]), [1.0, 2.0], None):
        with pytest.raises(ContractError, match=f"neo_object is a {type(wrong).__name__}, expected a Segment or a Bl"):
            spike_trains_from_neo(wrong)
        with pytest.raises(ContractError, match=f"sorting is a {type(wrong).__name__}, expected a sorting of SpikeIn"):
            spike_trains_from_sorting(wrong)
    with pytest.raises(ContractError, match="unit 'a' is True in neuron_ids, expected a whole number from 1"):
        spike_trains_from_neo(segment(neo_train([1.0], name="a")), neuron_ids={"a": True})
    with pytest.raises(ContractError, match="neuron_ids are a list, expected numbers of neurons by labels"):
        spike_trains_from_neo(segment(neo_train([1.0], name="a")), neuron_ids=["a"])


def test_labels_in_arrays():
    made = segment(neo_train([1.0], unit_id=np.array([3])), neo_train([1.0], unit_id=np.array([3, 4])))
    assert [train.label for train in spike_trains_from_neo(made)] == ["3", "[3 4]"]


def test_spikes_before_zero_are_refused():
    made = segment(neo.SpikeTrain([-1.0, 1.0], units="s", t_start=-2.0, t_stop=9.0))
    with pytest.raises(ContractError, match="neuron 1: spike 0 is at -1 s, expected seconds from the start"):
        spike_trains_from_neo(made)


def test_a_session_made_in_python_is_ingested(embedded):
    rng = np.random.default_rng(1)
    made = sorting({"a": np.sort(rng.integers(0, 300_000, 50)), "b": np.array([], np.int64)})
    session = Session(
        "WT",
        datetime.date(2024, 5, 2),
        1,
        (
            Stimulation(
                1, Movie.from_frames(rng.choice([-1, 1], (300, 3, 4))), 59.98, 1.5, 8.3, spike_trains_from_sorting(made)
            ),
        ),
    )
    told = []
    (report,) = embedded.ingest_sessions([session], progress=told.append)
    assert (report.outcome, report.n_neurons, report.n_spikes) == ("new", 2, 50)
    assert told == [report]
    assert embedded.experiment.Neuron().to_arrays("source_label").tolist() == ["a", "b"]
    assert embedded.ingest_sessions([session])[0].outcome == "unchanged"
