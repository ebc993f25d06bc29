"""All benchmarks of the engine in one run, with the peers: bash pkg.sh benchmark.

Prints the ratios and draws docs/images/engine.png and engine-scale.png. Takes about five minutes, and needs the machine
for itself.
"""

import argparse
from pathlib import Path

import engine
import graded
import peers
import scale
from matplotlib.figure import Figure

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "engine.png"


def speeds():
    """Additions per second of every way to average a two-level movie, and the seconds of ours on the peers' shares."""
    seconds, n_additions = engine.compare()
    found = {name: n_additions / duration_s for name, duration_s in seconds.items()}
    work = peers.Work.random(engine.N_FRAMES, engine.N_NEURONS)
    for name, peer in peers.PEERS.items():
        if peer.version is None:
            print(f"{name} is not installed: bash pkg.sh benchmark installs it")
            continue
        measured = peers.measure(peer, work, n_runs=2)
        if not measured.largest_difference <= peers.LARGEST_DIFFERENCE:
            raise SystemExit(f"{name}: averages differ from ours by {measured.largest_difference:.1e}")
        found[f"{name} {peer.version}"] = measured.n_additions / measured.duration_s
    return found


def draw(found, path):
    """Draw the speeds on a logarithmic axis."""
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.subplots()
    names = sorted(found, key=found.get)
    ours = {engine.COUNTING, engine.PUBLIC, "counting without numba"}
    colours = ["#0072B2" if name in ours else "#BBBBBB" for name in names]
    axes.barh(names, [found[name] / 1e9 for name in names], color=colours)
    for row, name in enumerate(names):
        speed = found[name] / 1e9
        axes.text(speed * 1.15, row, f"{speed:.2g} G/s" if speed < 10 else f"{speed:.0f} G/s", va="center", fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(right=max(found.values()) / 1e9 * 6)
    axes.set_xlabel("needed additions per second (10⁹), two-level movie; dj-neuron in blue")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=110)


def main():
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    found = speeds()
    print(f"{'two-level movie':28}{'G/s':>9}{'x BLAS':>9}{'of limit':>10}{'public function':>17}")
    for name, speed in found.items():
        print(
            f"{name:28}{speed / 1e9:9.3g}{speed / found[engine.BLAS]:9.3g}{speed / found[engine.LIMIT]:10.1%}"
            f"{found[engine.PUBLIC] / speed:14.3g} x"
        )
    draw(found, arguments.picture)
    print("\nWhat the peers do otherwise, and how their numbers are brought to ours")
    for name, peer in peers.PEERS.items():
        print(f"\n{name}\n{peer.what_differs}")
    print("\nGraded movies", end="")
    graded.main()
    print("\nScale", end="")
    scale.draw(scale.measure(), arguments.picture.with_name("engine-scale.png"))


if __name__ == "__main__":
    main()
