"""Addresses of the explorer: what is written is read again, and what cannot be read is told."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dj_neuron.contracts import StimulationId
from dj_neuron.explorer.addresses import (
    AddressError,
    Place,
    number,
    path_of,
    place_of,
    search_of,
    values_of,
)

characters = st.characters(codec="utf-8", exclude_characters="\0")
names = st.text(characters, min_size=1).filter(lambda name: name.strip())
texts = st.text(characters, min_size=1)
stimulations = st.builds(StimulationId, names, st.dates(), st.integers(0, 99), st.integers(1, 99))
places = st.one_of(
    st.sampled_from([Place("start"), Place("pipeline")]),
    st.builds(Place, st.just("stimulation"), stimulations),
    st.builds(Place, st.just("neuron"), stimulations, st.integers(1, 10_000)),
)


@given(places)
def test_every_place_is_found_again_under_its_address(place):
    assert place_of(path_of(place)) == place


def test_a_name_with_a_slash_stays_one_part_of_the_path():
    one = StimulationId("KO bax -/-", datetime.date(2008, 7, 2), 1, 2)
    assert path_of(Place("neuron", one, 7)) == "/neuron/KO%20bax%20-%2F-/2008-07-02/1/2/7"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nowhere", "there is no page '/nowhere'"),
        ("/neuron/WT/2020-01-02/1/1", "there is no page"),
        ("/stimulation/WT/yesterday/1/1", "yesterday"),
        ("/neuron/WT/2020-01-02/1/1/first", "first"),
        ("/neuron/<script>", "there is no page '/neuron/<script>'"),
        ("//", "there is no page '//'"),
        ("//stimulation/WT/2020-01-02/1/1", "there is no page '//stimulation"),
        ("/neuron/%00/2020-01-02/1/1/1", r"the address says '\\x00', expected text"),
        ("/neuron/\ud800/2020-01-02/1/1/1", r"the address says '\\ud800', expected text"),
    ],
)
def test_wrong_paths_are_told_in_words(path, words):
    with pytest.raises(AddressError, match=words):
        place_of(path)


@given(st.dictionaries(texts, texts))
def test_values_are_read_as_they_were_written(values):
    assert values_of(search_of(values)) == values


def test_what_is_not_given_stays_out_of_the_address():
    assert search_of({"row": None, "sort": "", "page": 2}) == "?page=2"
    assert search_of({}) == ""


def test_numbers_of_an_address():
    assert number({"page": "3"}, "page", int) == 3
    assert number({}, "page", int) is None
    with pytest.raises(AddressError, match="page='three', expected a whole number"):
        number({"page": "three"}, "page", int)
