"""How fast graded movies are added up: python benchmarks/graded.py.

Three regimes: few spikes, many spikes, many delays. Beside ours stand float32 BLAS on the dense matrix of counts,
SciPy's sparse matrix times dense, and a correlation by Fourier transforms of the whole length, each given its input
ready-made. Exactness is measured against float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from engine import RATE_HZ, best_s
from scipy import fft, sparse

from dj_neuron import Movie
from dj_neuron.strf import FrameClock, spike_triggered_average, value_sums
from dj_neuron.strf.alignment import align

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

N_FRAMES, N_Y, N_X = 8_000, 48, 64


@dataclass(frozen=True)
class Regime:
    """How much there is to add up."""

    name: str
    n_neurons: int
    spikes_per_frame: float
    n_delays: int


REGIMES = (Regime("few spikes", 32, 0.03, 20), Regime("many spikes", 16, 3.0, 10), Regime("many delays", 8, 1.0, 200))


def compare(regime: Regime, n_runs: int = 3) -> dict[str, float]:
    """Seconds of every way, ours first; exactness is looked at on the way."""
    rng = np.random.default_rng(2)
    frames = rng.normal(size=(N_FRAMES, N_Y, N_X)).astype(np.float32)
    movie, clock = Movie.from_frames(frames), FrameClock.regular(RATE_HZ, N_FRAMES, 1.0)
    sizes = rng.poisson(regime.spikes_per_frame * N_FRAMES, regime.n_neurons)
    trains = [np.sort(rng.uniform(1, clock.ends_s[-1], size)) for size in sizes]
    lags = np.arange(regime.n_delays)
    spikes = align(clock, trains, lags / RATE_HZ, "floor")
    values = frames.reshape(N_FRAMES, -1)
    counts = _matrix(spikes, regime)
    dense, sums = counts.toarray(), np.zeros((spikes.sizes.size - 1, movie.n_blocks))
    exact = counts[:3].astype(np.float64) @ values.astype(np.float64)

    ways: dict[str, Callable[[], object]] = {
        "spike_triggered_average": lambda: spike_triggered_average(movie, clock, trains, lags / RATE_HZ),
        "adding up": lambda: value_sums.add_values(values, spikes, lags, sums),
        **{
            f"  by way of {way}": lambda way=way: value_sums.add_values(values, spikes, lags, sums, way)
            for way in ("sparse", "dense", "lags")
        },
        "float32 BLAS": lambda: dense @ values,
        "sparse times dense (SciPy)": lambda: counts @ values,
        "Fourier transform of the whole": lambda: _correlation(dense[:: regime.n_delays], values, regime.n_delays),
    }
    seconds = {name: best_s(way, n_runs) for name, way in ways.items()}
    sums[:] = 0
    value_sums.add_values(values, spikes, lags, sums)
    seconds["largest error, of the largest sum"] = np.abs(sums[:3] - exact).max() / np.abs(exact).max()
    return seconds


def _matrix(spikes, regime: Regime) -> sparse.csr_array:
    n_rows = regime.n_neurons * regime.n_delays
    columns = np.concatenate([spikes.row(row) for row in range(n_rows)]).astype(np.int64)
    edges = np.concatenate([[0], np.cumsum(spikes.sizes[:n_rows])])
    return sparse.csr_array((np.ones(columns.size, np.float32), columns, edges), shape=(n_rows, N_FRAMES))


def _correlation(counts: NDArray[np.float32], values: NDArray[np.float32], n_delays: int) -> NDArray[np.float32]:
    """Correlate every train with every block at all lags, the spectra multiplied one train at a time."""
    length = fft.next_fast_len(N_FRAMES + n_delays, real=True)
    of_blocks = fft.rfft(values, length, axis=0, workers=-1).conj()
    of_trains = fft.rfft(counts, length, axis=1, workers=-1)
    return np.array(
        [fft.irfft(train[:, None] * of_blocks, length, axis=0, workers=-1)[:n_delays] for train in of_trains]
    )


def main() -> None:
    """Print a table for each regime."""
    for regime in REGIMES:
        print(f"\n{regime.name}: {regime}")
        seconds = compare(regime)
        ours = seconds["adding up"]
        for name, value in seconds.items():
            error = name.startswith("largest")
            print(f"  {name:34}{value:10.1e}" if error else f"  {name:34}{1e3 * value:10.1f} ms{value / ours:9.2f}")


if __name__ == "__main__":
    main()
