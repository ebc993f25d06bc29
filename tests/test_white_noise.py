import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dj_neuron import white_noise
from dj_neuron.white_noise import chunks_compiled, chunks_in_python, ran1, ret1_movie, ret1_stream


def ran1_one_by_one(seed, n):
    """Park and Miller's generator by Schrage's method, one deviate at a time, as published."""
    quotient, remainder = 127773, 2836

    def step(value):
        k = value // quotient
        value = 16807 * (value - k * quotient) - remainder * k
        return value + 2147483647 if value < 0 else value

    table = [0] * 32
    for j in range(39, -1, -1):
        seed = step(seed)
        if j < 32:
            table[j] = seed
    deviate, deviates = table[0], []
    for _ in range(n):
        seed = step(seed)
        slot = deviate // (1 + 2147483646 // 32)
        deviate, table[slot] = table[slot], seed
        deviates.append(deviate)
    return deviates


@pytest.mark.parametrize("seed", [1, 10000, 2**31 - 2])
@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_ran1_agrees_with_the_generator_one_by_one(seed, n):
    assert ran1(seed, n).tolist() == ran1_one_by_one(seed, n)


def whole(chunks):
    return np.concatenate([np.empty(0, np.int64), *chunks])


@given(seed=st.integers(1, 2**31 - 2), n=st.integers(0, 300), chunk=st.integers(1, 400))
def test_compiled_or_not_and_in_chunks_of_any_size_the_same_comes_out(seed, n, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(white_noise, "_CHUNK", chunk)
        compiled, plain = whole(chunks_compiled(seed, n)), whole(chunks_in_python(seed, n))
    assert compiled.dtype == plain.dtype == np.int64
    assert compiled.tolist() == plain.tolist() == ran1_one_by_one(seed, n)


@pytest.mark.parametrize(("has_numba", "few"), [(True, 1), (True, 10**9), (False, 1)])
def test_the_stream_is_the_same_with_and_without_numba(monkeypatch, has_numba, few):
    used = []
    for name in ("chunks_compiled", "chunks_in_python"):
        form = getattr(white_noise, name)
        monkeypatch.setattr(white_noise, name, lambda *of, name=name, form=form: used.append(name) or form(*of))
    monkeypatch.setattr(white_noise, "HAS_NUMBA", has_numba)
    monkeypatch.setattr(white_noise, "_WORTH_COMPILING", few)
    stream = ret1_stream(1000)
    assert used == ["chunks_compiled" if has_numba and few == 1 else "chunks_in_python"]
    assert stream.tolist() == [-1 if value / (2**31 - 1) >= 0.5 else 1 for value in ran1_one_by_one(10000, 1001)[1:]]


@pytest.mark.parametrize("seed", [0, -1, 2**31 - 1])
def test_ran1_refuses_seeds_outside_its_range(seed):
    with pytest.raises(ValueError, match="seed is"):
        ran1(seed, 1)


def signs(values):
    return "".join("+" if value > 0 else "-" for value in values)


def test_ret1_movie_is_the_published_one():
    movie = ret1_movie(3823, 1, 640)
    assert signs(movie[0, 0, :32]) == "-+----+--+-++++++-+----++++-+--+"
    assert signs(movie[10, 0, :32]) == "+-+-++--+----+++-++++-++-++++-+-"
    assert movie.dtype == np.int8
    assert movie.sum() == 1342
    assert (
        hashlib.sha256(movie.tobytes()).hexdigest()
        == "0117d9fe8540701852081b73f9292558531a695688f191a0e6e7d402c031b491"
    )


def test_ret1_movies_run_x_fastest_and_share_one_stream():
    stream = ret1_stream(60)
    movie = ret1_movie(5, 3, 4, stream)
    assert (movie[1, 2] == stream[12 + 8 : 12 + 12]).all()
    assert (ret1_movie(2, 3, 4) == movie[:2]).all()
