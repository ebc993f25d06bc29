"""The short form of long_run.py: some days of a lab, and nothing grows."""

import pytest

from long_run import Lab, Sample, growth


@pytest.mark.timeout(900)  # a busy machine takes its time; alone it is seconds
def test_days_go_by_and_nothing_is_left_behind(tmp_path):
    with Lab(tmp_path, n_neurons=2) as lab:
        days = [lab.live(draw=False) for _ in range(6)]
    assert growth(days) == []


def test_what_grows_is_told():
    def day(number, leak=0, memory=0):
        return Sample(number, {"lab": 100.0 + memory * number}, {"connections": 9 + leak * number})

    assert growth([day(i) for i in range(9)]) == []
    assert growth([day(i, leak=1) for i in range(9)]) == ["connections: at most 14, later 17"]
    assert growth([day(i, memory=5) for i in range(9)]) == ["memory of the lab: 120.0 MB, later 135.0 MB"]
    assert growth([day(i, memory=0.1) for i in range(9)]) == []
    with pytest.raises(AssertionError, match="too few"):
        growth([day(0)])
