"""What the explorer remembers, asked from several threads."""

import threading

from dj_neuron.explorer.cache import Renewed

SOON_S = 30.0


def test_what_is_old_is_given_while_a_thread_makes_the_new():
    numbers, may_end, is_made = iter(range(10)), threading.Event(), threading.Event()

    def make():
        made = next(numbers)
        if made:
            assert threading.current_thread() is not threading.main_thread()
            assert may_end.wait(SOON_S)
            is_made.set()
        return made

    renewed = Renewed(0.0)
    assert [renewed.get("a", make) for _ in range(3)] == [0, 0, 0]
    may_end.set()
    assert is_made.wait(SOON_S)
    while renewed.get("a", lambda: 1) == 0:  # kept a moment after it was made
        pass
    assert next(numbers) == 2  # one at a time, and once for the three who asked


def test_what_is_young_is_not_made_again():
    numbers = iter(range(10))
    renewed = Renewed(SOON_S)
    assert [renewed.get(key, lambda: next(numbers)) for key in "aabba"] == [0, 0, 1, 1, 0]


def test_what_cannot_be_made_anew_stays_and_is_tried_again():
    renewed, tries, succeeded = Renewed(0.0), [], threading.Event()

    def make():
        tries.append(None)
        if len(tries) == 2:
            raise ConnectionError
        if len(tries) > 2:
            succeeded.set()
        return len(tries)

    assert renewed.get("a", make) == 1
    while not succeeded.is_set():
        assert renewed.get("a", make) in {1, 3}
