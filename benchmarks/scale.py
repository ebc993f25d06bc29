"""How cost grows, and the largest case: python benchmarks/scale.py [--hour].

Each curve changes one of spikes, delays, blocks and neurons and leaves the others. The largest case is an hour of 60 Hz
at 160 x 120 blocks with 1,000 neurons of 10 Hz and 30 delays; its memory is the operating system's own figure.
"""

import resource
import sys
import time

import numpy as np
from engine import best_s
from matplotlib.figure import Figure

from dj_neuron import Movie
from dj_neuron.strf import FrameClock, spike_triggered_average

BASE = {"n_frames": 20_000, "n_blocks": 3072, "n_neurons": 32, "rate_hz": 10.0, "n_delays": 20}
LABELS = {"rate_hz": "spikes", "n_delays": "delays", "n_blocks": "blocks", "n_neurons": "neurons", "n_frames": "frames"}
CURVES = {
    "rate_hz": (2.5, 5, 10, 20, 40),
    "n_delays": (5, 10, 20, 40, 80),
    "n_blocks": (768, 1536, 3072, 6144, 12288),
    "n_neurons": (8, 16, 32, 64, 128),
    "n_frames": (5_000, 10_000, 20_000, 40_000, 80_000),
}


def average(n_frames, n_blocks, n_neurons, rate_hz, n_delays):
    """Give a function that averages, the additions it makes, and the bytes of its movie."""
    rng = np.random.default_rng(3)
    packed = np.frombuffer(rng.bytes(n_frames * n_blocks // 8), np.uint8).reshape(n_frames, -1)
    movie = Movie((n_frames, n_blocks // 32, 32), packed.copy(), (-1.0, 1.0))
    clock = FrameClock.regular(60, n_frames, 0)
    end_s = n_frames / 60
    trains = [np.sort(rng.uniform(0, end_s, rng.poisson(rate_hz * end_s))) for _ in range(n_neurons)]
    n_additions = sum(train.size for train in trains) * n_delays * n_blocks
    delays_s = np.arange(n_delays) / 60
    return lambda: spike_triggered_average(movie, clock, trains, delays_s), n_additions, packed.nbytes


def curve(name, n_runs=5):
    """Seconds at each value of one figure."""
    return {value: best_s(average(**{**BASE, name: value})[0], n_runs) for value in CURVES[name]}


def hour():
    """Seconds, additions, and bytes of peak memory, result and movie of the largest case."""
    run, n_additions, movie_bytes = average(216_000, 19_200, 1000, 10.0, 30)
    average(100, 64, 1, 10.0, 2)[0]()  # compile
    started = time.perf_counter()
    values = run().values
    duration_s = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return duration_s, n_additions, peak, values.nbytes, movie_bytes


def measure():
    """Print and give seconds by value, of every curve."""
    curves = {}
    for name, values in CURVES.items():
        curves[name] = curve(name)
        print(f"\n{name:12}" + "".join(f"{value:>10g}" for value in values))
        print(f"{'ms':12}" + "".join(f"{1e3 * seconds:10.2f}" for seconds in curves[name].values()))
    return curves


def draw(curves, path):
    """Draw time against every figure, both relative to the work that all curves share."""
    figure = Figure(figsize=(5.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for (name, seconds), marker in zip(curves.items(), "osD^v", strict=True):
        base = BASE[name]
        relative = [value / base for value in seconds]
        axes.plot(relative, [1e3 * s for s in seconds.values()], marker=marker, markersize=5, label=LABELS[name])
    lowest, highest = 1 / 4, 4
    at_base = 1e3 * np.median([seconds[BASE[name]] for name, seconds in curves.items()])
    axes.plot([lowest, highest], [at_base * lowest, at_base * highest], "k:", label="proportional")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel("times 20,000 frames, 3,072 blocks, 32 neurons of 10 Hz, 20 delays")
    axes.set_ylabel("spike_triggered_average (ms)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main():
    """Print curves, or the largest case."""
    if "--hour" in sys.argv[1:]:
        duration_s, n_additions, peak, result, movie = hour()
        print(
            f"{duration_s:.1f} s, {n_additions / duration_s / 1e9:.0f} G additions/s; peak {peak / 2**30:.2f} GiB, "
            f"of which the result {result / 2**30:.2f} and the movie {movie / 2**30:.2f}"
        )
        return
    measure()


if __name__ == "__main__":
    main()
