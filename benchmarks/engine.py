"""How fast two-level movies are counted: python benchmarks/engine.py.

20,000 frames of 3,072 blocks, 32 neurons at 0.17 spikes per frame, 20 delays. Figures are additions that are needed
(spikes x delays x blocks) per second, the best of several runs of each, all in one go: look at the ratios, for machines
differ.
"""

import time

import numpy as np
from numba import njit

from dj_neuron import Movie
from dj_neuron.strf import FrameClock, _bit_kernel, _vectors, spike_triggered_average
from dj_neuron.strf._align_kernel import cut_rows
from dj_neuron.strf._threads import on_all_cores
from dj_neuron.strf.alignment import PADDING, align
from dj_neuron.strf.bit_counter import count_high, count_with_numpy

N_FRAMES, N_Y, N_X = 20_000, 48, 64
N_NEURONS, SPIKES_PER_FRAME, N_DELAYS = 32, 0.17, 20
RATE_HZ = 59.98

LIMIT, COUNTING, PUBLIC, BLAS = "read and XOR (the limit)", "counting", "spike_triggered_average", "float32 BLAS"


@njit(nogil=True)
def read_and_xor(part, n_parts, data, cuts, frames, out):
    """Read the very vectors that counting reads, in the same order, and do as little as possible with them."""
    n_frames, n_bytes = data.shape
    n_rows, n_cuts = cuts.shape
    tile = _vectors.lines((n_frames + 1) * _vectors.LINE).view(np.uint64)
    for number in range(part, (n_bytes + _vectors.LINE - 1) // _vectors.LINE, n_parts):
        _bit_kernel._cut_tile(data, number * _vectors.LINE, tile)
        for span in range(n_cuts - 1):
            for row in range(n_rows):
                a = b = c = d = _vectors.no_bits()
                for k in range(cuts[row, span], cuts[row, span + 1], 4):
                    a = _vectors.xor_bits(a, _vectors.load_frame_bits(tile, frames, k, 0))
                    b = _vectors.xor_bits(b, _vectors.load_frame_bits(tile, frames, k + 1, 0))
                    c = _vectors.xor_bits(c, _vectors.load_frame_bits(tile, frames, k + 2, 0))
                    d = _vectors.xor_bits(d, _vectors.load_frame_bits(tile, frames, k + 3, 0))
                both = _vectors.xor_bits(_vectors.xor_bits(a, b), _vectors.xor_bits(c, d))
                _vectors.store_bits(out, (number * n_rows + row) * _vectors.LINE, both)


def best_s(function, n_runs):
    """Seconds of the fastest of several runs, after one that may compile."""
    function()
    times = []
    for _ in range(n_runs):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def best_of_all_s(functions, n_rounds):
    """Seconds of the fastest run of each, the runs taking turns so that what disturbs one disturbs all."""
    best = dict.fromkeys(functions, np.inf)
    for _ in range(n_rounds):
        for name, function in functions.items():
            best[name] = min(best[name], best_s(function, 1))
    return best


def random_work(n_frames=N_FRAMES, n_neurons=N_NEURONS, n_y=N_Y, n_x=N_X, spikes_per_frame=SPIKES_PER_FRAME, seed=1):
    """White noise and spikes at random: frames (n_frames, n_y, n_x) of -1 and 1, clock, trains."""
    rng = np.random.default_rng(seed)
    frames = rng.choice(np.array([-1, 1], np.int8), (n_frames, n_y, n_x))
    clock = FrameClock.regular(RATE_HZ, n_frames, 1.0)
    n_spikes = rng.poisson(spikes_per_frame * n_frames, n_neurons)
    return frames, clock, [np.sort(rng.uniform(1, clock.ends_s[-1], n)) for n in n_spikes]


def compare(n_rounds=12):
    """Give seconds of every way, and how many additions they make."""
    frames, clock, trains = random_work()
    movie, delays_s = Movie.from_frames(frames), np.arange(N_DELAYS) / RATE_HZ
    spikes = align(clock, trains, delays_s, "floor")
    n_rows = spikes.sizes.size - 1

    cuts = np.empty((n_rows + 1, -(-N_FRAMES // _bit_kernel.SPAN) + 2), np.int64)
    cut_rows(spikes.first, spikes.sizes, spikes.frames, _bit_kernel.SPAN, _bit_kernel.WHOLE, PADDING, cuts)
    n_tiles = -(-movie.data.shape[1] // _vectors.LINE)
    out = np.zeros(n_tiles * (n_rows + 1) * _vectors.N_WORDS, np.uint64)
    counts, whole = np.empty((n_rows, movie.n_blocks)), np.empty(movie.n_blocks)

    dense = np.zeros((n_rows, N_FRAMES), np.float32)
    for number in range(n_rows):
        np.add.at(dense[number], spikes.row(number), 1)
    values = frames.reshape(N_FRAMES, -1).astype(np.float32)

    def gather():
        return [values[spikes.row(number)].mean(axis=0) for number in range(n_rows)]

    ways = {
        LIMIT: lambda: on_all_cores(read_and_xor, n_tiles, movie.data, cuts, spikes.frames, out),
        COUNTING: lambda: count_high(movie, spikes, counts, whole),
        PUBLIC: lambda: spike_triggered_average(movie, clock, trains, delays_s),
        "counting without numba": lambda: count_with_numpy(movie, spikes, counts, whole, begins=True),
        BLAS: lambda: dense @ values,
    }
    seconds = {**best_of_all_s(ways, n_rounds), "NumPy gather and mean": best_s(gather, 1)}
    return seconds, int(spikes.ledger.n_used.sum()) * movie.n_blocks


def main():
    """Print the table."""
    seconds, n_additions = compare()
    print(f"{'':28}{'ms':>8}{'G/s':>8}{'x BLAS':>9}{'of limit':>10}")
    for name, duration_s in seconds.items():
        print(
            f"{name:28}{1e3 * duration_s:8.1f}{n_additions / duration_s / 1e9:8.1f}"
            f"{seconds[BLAS] / duration_s:9.1f}{seconds[LIMIT] / duration_s:10.0%}"
        )


if __name__ == "__main__":
    main()
