"""How fast two-level movies are counted: python benchmarks/engine.py.

20,000 frames of 3,072 blocks, 32 neurons at 0.17 spikes per frame, 20 delays. Figures are additions that are needed
(spikes x delays x blocks) per second, the best of several runs of each, all in one go: look at the ratios, for machines
differ.
"""

import time

import numpy as np
from numba import njit

from dj_neuron import Movie
from dj_neuron.strf import FrameClock, _bit_kernel, spike_triggered_average
from dj_neuron.strf._align_kernel import cut_rows
from dj_neuron.strf._threads import on_all_cores
from dj_neuron.strf.alignment import PADDING, align
from dj_neuron.strf.bit_counter import count_high, count_with_numpy

N_FRAMES, N_Y, N_X = 20_000, 48, 64
N_NEURONS, SPIKES_PER_FRAME, N_DELAYS = 32, 0.17, 20
RATE_HZ = 59.98


@njit(nogil=True)
def read_and_xor(part, n_parts, data, cuts, frames, out):
    """Read the very vectors that counting reads, in the same order, and do as little as possible with them."""
    n_frames, n_bytes = data.shape
    n_rows, n_cuts = cuts.shape
    room = np.empty((n_frames + 2) * 8, np.uint64)
    skip = (-room.ctypes.data // 8) % 8
    tile = room[skip : skip + (n_frames + 1) * 8]
    for number in range(part, (n_bytes + 63) // 64, n_parts):
        _bit_kernel._cut_tile(data, number * 64, tile)
        for span in range(n_cuts - 1):
            for row in range(n_rows):
                a = b = c = d = _bit_kernel._zero()
                for k in range(cuts[row, span], cuts[row, span + 1], 4):
                    a = _bit_kernel._xor(a, _bit_kernel._frame(tile, frames, k))
                    b = _bit_kernel._xor(b, _bit_kernel._frame(tile, frames, k + 1))
                    c = _bit_kernel._xor(c, _bit_kernel._frame(tile, frames, k + 2))
                    d = _bit_kernel._xor(d, _bit_kernel._frame(tile, frames, k + 3))
                both = _bit_kernel._xor(_bit_kernel._xor(a, b), _bit_kernel._xor(c, d))
                _bit_kernel._store(out, (number * n_rows + row) * 64, both)


def best_s(function, n_runs):
    """Seconds of the fastest of several runs, after one that may compile."""
    function()
    times = []
    for _ in range(n_runs):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def main():
    """Print the table."""
    rng = np.random.default_rng(1)
    frames = rng.choice(np.array([-1, 1], np.int8), (N_FRAMES, N_Y, N_X))
    movie, clock = Movie.from_frames(frames), FrameClock.regular(RATE_HZ, N_FRAMES, 1.0)
    n_spikes = rng.poisson(SPIKES_PER_FRAME * N_FRAMES, N_NEURONS)
    trains = [np.sort(rng.uniform(1, clock.ends_s[-1], n)) for n in n_spikes]
    delays_s = np.arange(N_DELAYS) / RATE_HZ
    spikes = align(clock, trains, delays_s, "floor")

    cuts = np.empty((spikes.sizes.size, -(-N_FRAMES // _bit_kernel.SPAN) + 2), np.int64)
    cut_rows(spikes.first, spikes.sizes, spikes.frames, _bit_kernel.SPAN, _bit_kernel.WHOLE, PADDING, cuts)
    out = np.zeros(-(-movie.data.shape[1] // 64) * spikes.sizes.size * 8, np.uint64)

    dense = np.zeros((N_NEURONS * N_DELAYS, N_FRAMES), np.float32)
    for number in range(len(dense)):
        np.add.at(dense[number], spikes.row(number), 1)
    values = frames.reshape(N_FRAMES, -1).astype(np.float32)

    def gather():
        return [values[spikes.row(number)].mean(axis=0) for number in range(len(dense))]

    seconds = {
        "read and XOR (the limit)": best_s(
            lambda: on_all_cores(read_and_xor, 6, movie.data, cuts, spikes.frames, out), 15
        ),
        "counting": best_s(lambda: count_high(movie, spikes), 15),
        "spike_triggered_average": best_s(lambda: spike_triggered_average(movie, clock, trains, delays_s), 15),
        "counting without numba": best_s(lambda: count_with_numpy(movie, spikes), 2),
        "float32 BLAS, dense counts": best_s(lambda: dense @ values, 3),
        "NumPy gather and mean": best_s(gather, 1),
    }
    needed = spikes.ledger.n_used.sum() * movie.n_blocks
    blas_s = seconds["float32 BLAS, dense counts"]
    limit_s = seconds["read and XOR (the limit)"]
    print(f"{'':28}{'ms':>8}{'G/s':>8}{'x BLAS':>9}{'of limit':>10}")
    for name, duration_s in seconds.items():
        print(
            f"{name:28}{1e3 * duration_s:8.1f}{needed / duration_s / 1e9:8.1f}"
            f"{blas_s / duration_s:9.1f}{limit_s / duration_s:10.0%}"
        )


if __name__ == "__main__":
    main()
