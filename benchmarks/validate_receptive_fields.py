"""Are the measures of receptive fields right? python benchmarks/validate_receptive_fields.py [--quick].

Simulates populations of linear-nonlinear-Poisson neurons whose receptive fields are known, runs the whole chain from
spikes to measures on them, and prints bias, spread and coverage of the standard errors of every measure. The full run,
some minutes on two cores, also writes the tables into docs/explanation/validation.md; --quick runs fewer neurons and
writes nothing.
"""

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dj_neuron import Movie
from dj_neuron.simulate import KnownNeuron
from dj_neuron.strf import (
    FrameClock,
    circular_shift_null,
    find_region,
    fit_space,
    judge_significance,
    measure_time_course,
    predict_held_out,
    separate,
    smoothed_shift_null,
    spike_triggered_average,
)

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "validation.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
FIRST_DELAY_S, LAST_DELAY_S = -0.1, 0.5
CHUNK_FRAMES = 4096
FINE_S = np.linspace(0, LAST_DELAY_S, 20_001)
N_PREDICTED = 20


@dataclass(frozen=True)
class Condition:
    """A population and how it is recorded."""

    name: str
    shape: tuple[int, int] = (24, 32)  # n_y, n_x
    block_um: tuple[float, float] = (83.0, 83.0)
    sigma_um: tuple[float, float] = (70.0, 120.0)
    rebound: tuple[float, float] = (0.4, 0.7)
    surround: float = 0.0  # volume over that of the centre, twice its sigma
    frame_rate_hz: float = 59.98
    rate_hz: float = 5.0
    minutes: float = 10.0
    spikes_per_burst: float = 1.0


CONDITIONS = (
    Condition("reference"),
    Condition("1 minute", minutes=1),
    Condition("3 minutes", minutes=3),
    Condition("30 minutes", minutes=30),
    Condition("1 spike/s", rate_hz=1),
    Condition("20 spikes/s", rate_hz=20),
    Condition("small fields", sigma_um=(40, 60)),
    Condition("large fields", sigma_um=(150, 220)),
    Condition("surround", surround=0.6),
    Condition("surround, 20 spikes/s", surround=0.6, rate_hz=20),
    Condition("monophasic", rebound=(0.0, 0.0)),
    Condition("30 Hz", frame_rate_hz=29.99),
    Condition("bursts of 3", spikes_per_burst=3),
    Condition("bars of 42 um", shape=(1, 128), block_um=(41.5, 4000.0)),
    Condition("bars of 8 um", shape=(1, 400), block_um=(8.3, 4000.0)),
)
DETECTION_RATES_HZ = (0.3, 1, 3, 10)
DETECTION_MINUTES = (1, 3, 10)
LEVELS = (0.05, 0.01)
TESTS = {"p_value": "single blocks", "p_value_field": "blocks and smoothed maps"}

SPATIAL = ("centre_x_um", "sigma_major_um", "sigma_minor_um", "angle_deg")
TEMPORAL = ("time_to_peak_s", "zero_crossing_s", "biphasic_index", "duration_s")


def detected(z, delays_s, block_um):
    """Decide whether there is a receptive field, by the analytic threshold for independent normal noise."""
    return find_region(z, delays_s, block_um)


def draw_neurons(condition, n_neurons, rng):
    """Draw neurons whose centres lie within the inner 60 % of the screen."""
    n_y, n_x = condition.shape
    width_um, height_um = n_x * condition.block_um[0], n_y * condition.block_um[1]
    neurons = []
    for number in range(1, n_neurons + 1):
        sigma_um = rng.uniform(*condition.sigma_um)
        neurons.append(
            KnownNeuron(
                neuron_id=number,
                polarity=int(rng.choice((-1, 1))),
                centre_x_um=width_um * rng.uniform(0.2, 0.8),
                centre_y_um=height_um * rng.uniform(0.2, 0.8),
                sigma_major_um=sigma_um,
                sigma_minor_um=sigma_um * rng.uniform(0.6, 0.9),
                angle_deg=rng.uniform(0, 180),
                time_to_peak_s=rng.uniform(0.06, 0.12),
                rebound=rng.uniform(*condition.rebound),
                baseline=0.02,
            )
        )
    return neurons


def simulate(condition, neurons, rng):
    """Give movie, clock, spike trains and the expected spikes per frame, (n_neurons, n_frames)."""
    n_y, n_x = condition.shape
    n_frames = round(condition.minutes * 60 * condition.frame_rate_hz)
    movie = Movie.from_frames(rng.integers(0, 2, (n_frames, n_y, n_x), np.int8) * 2 - 1)
    clock = FrameClock.regular(condition.frame_rate_hz, n_frames, 1.0)
    weights = np.array([spatial_weights(condition, neuron) for neuron in neurons], np.float32)
    seen = np.concatenate(
        [
            movie.frames(start, start + CHUNK_FRAMES).reshape(-1, movie.n_blocks) @ weights.T
            for start in range(0, n_frames, CHUNK_FRAMES)
        ]
    ).T
    lags_s = np.arange(int(LAST_DELAY_S * condition.frame_rate_hz)) / condition.frame_rate_hz
    drive = np.array(
        [np.convolve(own, neuron.time_course(lags_s))[:n_frames] for own, neuron in zip(seen, neurons, strict=True)]
    )
    rate = 0.02 + 1 / (1 + np.exp(-3 * (drive / drive.std(axis=1, keepdims=True) - 1.3)))
    expected = rate * condition.rate_hz / condition.frame_rate_hz / rate.mean(axis=1, keepdims=True)
    counts = rng.poisson(expected / condition.spikes_per_burst)
    trains = []
    for own in counts:
        frames = np.repeat(np.arange(n_frames), own)
        times_s = 1.0 + (frames + rng.random(frames.size)) / condition.frame_rate_hz
        trains.append(with_bursts(times_s, condition.spikes_per_burst, rng))
    return movie, clock, trains, expected


def with_bursts(times_s, mean_spikes, rng):
    """Let every spike be the first of a burst with intervals of 10 ms on average."""
    if mean_spikes == 1:
        return np.sort(times_s)
    n_more = rng.geometric(1 / mean_spikes, times_s.size) - 1
    later_s = rng.exponential(0.01, n_more.sum())
    first = np.repeat(np.cumsum(n_more) - n_more, n_more)
    total_s = np.cumsum(later_s)
    since_first_s = total_s - (total_s - later_s)[first]
    return np.sort(np.concatenate([times_s, np.repeat(times_s, n_more) + since_first_s]))


def spatial_weights(condition, neuron):
    """Weights of all blocks, (n_blocks,)."""
    centre = neuron.spatial_weights(*condition.shape, condition.block_um).ravel()
    if not condition.surround:
        return centre
    wide = replace(neuron, sigma_major_um=2 * neuron.sigma_major_um, sigma_minor_um=2 * neuron.sigma_minor_um)
    return centre - condition.surround / 4 * wide.spatial_weights(*condition.shape, condition.block_um).ravel()


def truth(condition, neuron):
    """Give the measures of a known neuron by their definitions."""
    course = neuron.polarity * neuron.time_course(FINE_S)
    top, bottom = course.argmax(), course.argmin()
    wide = FINE_S[course > course[top] / 2]
    below = top + np.flatnonzero(course[top:] < 0)
    is_biphasic = -course[bottom] > 0.2 * course[top]
    known = {
        "centre_x_um": neuron.centre_x_um,
        "sigma_major_um": neuron.sigma_major_um,
        "sigma_minor_um": neuron.sigma_minor_um,
        "angle_deg": neuron.angle_deg,
        "time_to_peak_s": FINE_S[top],
        "zero_crossing_s": FINE_S[below[0]] if is_biphasic else np.nan,
        "biphasic_index": -course[bottom] / course[top] if is_biphasic else np.nan,
        "duration_s": wide[-1] - wide[0],
    }
    if condition.shape[0] == 1:
        known |= {"sigma_major_um": np.sqrt(neuron.covariance_um2()[0, 0]), "sigma_minor_um": np.nan}
        known |= {"angle_deg": np.nan}
    return known


def measure(condition, average, number):
    """Run the chain on one neuron; None where no field is detected."""
    delays_s = average.delays_s
    error = average.error_factor[number][:, None, None] * average.pixel_sd
    region = detected(average.values[number] / error, delays_s, condition.block_um)
    if region is None:
        return None
    split = separate(average.values[number], error, delays_s, region.blocks)
    fit = fit_space(split.spatial_map, split.spatial_map_se, condition.block_um, region)
    course = measure_time_course(
        split.time_course, split.time_course_se, delays_s, noise_correlation=split.noise_correlation
    )
    return split, fit, course


def run_condition(condition, n_neurons):
    """Give errors, standard errors and more of one condition, as lists by measure."""
    rng = np.random.default_rng(np.random.SeedSequence([7, *condition.name.encode()]))
    neurons = draw_neurons(condition, n_neurons, rng)
    movie, clock, trains, expected = simulate(condition, neurons, rng)
    delays_s = clock.delays_between(FIRST_DELAY_S, LAST_DELAY_S)
    average = spike_triggered_average(movie, clock, trains, delays_s)
    away = np.abs(average.z[:, delays_s < 0])
    result = {name: [] for name in (*SPATIAL, *TEMPORAL)}
    result |= {"separability": [], "p_inseparable": [], "sign": [], "models": [], "reasons": [], "surround": []}
    result["noise_z"] = float(np.sqrt(np.mean(away**2)))
    for number, neuron in enumerate(neurons):
        measured = measure(condition, average, number)
        if measured is None:
            continue
        split, fit, course = measured
        result["separability"].append(split.separability)
        result["p_inseparable"].append(split.p_inseparable)
        result["sign"].append(course.polarity == neuron.polarity)
        result["models"].append(fit.model)
        result["surround"].append((fit.surround_strength, fit.surround_strength_se))
        result["reasons"].append(fit.reason)
        for name, known in truth(condition, neuron).items():
            source = fit if name in SPATIAL else course
            error = getattr(source, name) - known
            if name == "angle_deg":
                error = (error + 90) % 180 - 90
            result[name].append((known, error, getattr(source, f"{name}_se")))
    result["prediction"] = prediction(movie, clock, trains[:N_PREDICTED], expected, delays_s, condition)
    return result


def prediction(movie, clock, trains, expected, delays_s, condition):
    """Give test correlations, and those of the truth, (n, 2)."""
    if movie.n_frames > 50_000 or condition.spikes_per_burst > 1:
        return np.empty((0, 2))
    pairs = []
    for found, known in zip(
        predict_held_out(movie, clock, trains, delays_s, condition.block_um), expected, strict=False
    ):
        tested = np.isfinite(found.predicted)
        if not found.reason:
            by_truth = np.corrcoef(known[tested], found.observed[tested])[0, 1]
            pairs.append((found.test_correlation, by_truth))
    return np.array(pairs).reshape(-1, 2)


def run_detection(rate_hz, minutes, n_neurons):
    """Give how many have p <= each level: by test and level, of a population and of as many unrelated trains."""
    condition = replace(CONDITIONS[0], name="detection", rate_hz=rate_hz, minutes=minutes)
    rng = np.random.default_rng([8, round(10 * rate_hz), round(minutes)])
    neurons = draw_neurons(condition, n_neurons, rng)
    movie, clock, trains, _ = simulate(condition, neurons, rng)
    half_s = (clock.ends_s[-1] - 1) / 2
    unrelated = [np.sort(1 + (train - 1 + half_s) % (2 * half_s)) for train in trains]
    delays_s = clock.delays_between(FIRST_DELAY_S, LAST_DELAY_S)
    found = []
    for own in (trains, unrelated):
        null = circular_shift_null(movie, clock, own, delays_s, neuron_numbers=range(n_neurons), seed=1)
        smoothed = smoothed_shift_null(movie, clock, own, delays_s, condition.block_um, null)
        average = spike_triggered_average(movie, clock, own, delays_s)
        judged = judge_significance(average, null, 1 / clock.frame_rate_hz, smoothed=smoothed)
        found.append([[int((getattr(judged, test) <= level).sum()) for level in LEVELS] for test in TESTS])
    return np.array(found)


def rows(condition, result):
    """Give the table rows of a condition, one per measure."""
    for name in (*SPATIAL, *TEMPORAL):
        known, error, se = np.array(result[name]).reshape(-1, 3).T
        if not np.isfinite(known).any():
            continue
        wanted = np.isfinite(known).sum()
        ok = np.isfinite(error) & np.isfinite(se)
        if ok.sum() < 8:
            yield f"| {condition.name} | {name} | {ok.sum()} of {wanted} | | | | | |"
            continue
        known, error, se = known[ok], error[ok], se[ok]
        low, high = np.quantile(error, [0.1587, 0.8413])
        scale, unit = (1000, " ms") if name.endswith("_s") else (1, " um" if name.endswith("_um") else "")
        unit = " deg" if name == "angle_deg" else unit
        within = [100 * np.mean(np.abs(error) <= k * se) for k in (1, 1.96)]
        digits = 2 if name == "biphasic_index" else 1
        numbers = [scale * value for value in (np.median(known), np.median(error), (high - low) / 2, np.median(se))]
        shown = [f"{value:.{digits}f}{unit}" for value in numbers]
        yield (
            f"| {condition.name} | {name} | {ok.sum()} of {wanted} | {shown[0]} | {shown[1]} | {shown[2]} | {shown[3]} "
            f"| {within[0]:.0f} %, {within[1]:.0f} % |"
        )


def tables(results, detection, n_neurons):
    """Give everything as markdown."""
    lines = ["| condition | measure | measured | truth | bias | spread | standard error | within 1, 1.96 errors |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for condition, result in results:
        lines.extend(rows(condition, result))
    lines += [
        "",
        "| condition | detected | sign right | separability | p <= 0.05 | surround found | no size | noise z |",
    ]
    lines[-1] += " prediction, of the best |"
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for condition, result in results:
        p = np.array(result["p_inseparable"])
        p = p[np.isfinite(p)]
        n_found = len(result["sign"])
        share = (
            np.median(result["prediction"][:, 0] / result["prediction"][:, 1]) if len(result["prediction"]) else None
        )
        lines.append(
            f"| {condition.name} | {n_found} of {n_neurons} | {sum(result['sign'])} of {n_found} "
            f"| {np.nanmean(result['separability']):.3f} | {np.sum(p <= 0.05)} of {p.size} "
            f"| {result['models'].count('difference_of_gaussians')} "
            f"| {sum(reason != '' for reason in result['reasons'])} | {result['noise_z']:.3f} "
            f"| {'' if share is None else f'{share:.2f}'} |"
        )
    for place, (test, told) in enumerate(TESTS.items()):
        lines += ["", *detection_lines(test, told, {key: cell[:, place] for key, cell in detection.items()}, n_neurons)]
    return "\n".join(lines)


def detection_lines(test, told, detection, n_neurons):
    """Give the table of one test, and how often it is wrong; `detection` holds (2, n_levels) for each cell."""
    yield f"| {test} ({told}) <= 0.05, <= 0.01 in | " + " | ".join(f"{m} min" for m in DETECTION_MINUTES) + " |"
    yield "|---" * (1 + len(DETECTION_MINUTES)) + "|"
    for rate_hz in DETECTION_RATES_HZ:
        cells = [detection[rate_hz, minutes][0] for minutes in DETECTION_MINUTES]
        shown = " | ".join(", ".join(f"{100 * hit / n_neurons:.0f} %" for hit in hits) for hits in cells)
        yield f"| {rate_hz:g} spikes/s | {shown} |"
    n_unrelated = n_neurons * len(detection)
    false = sum(cell[1] for cell in detection.values())
    wrong = "; ".join(f"{n} ({100 * n / n_unrelated:.1f} %) <= {level}" for n, level in zip(false, LEVELS, strict=True))
    yield from ("", f"Of {n_unrelated} trains unrelated to the movie: {wrong}.")


def main():
    """Run everything, print it, and write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer neurons, shorter recordings; writes nothing")
    quick = parser.parse_args().quick
    n_neurons = 12 if quick else 120
    conditions = [one for one in CONDITIONS if not quick or one.minutes <= 10]
    started = time.perf_counter()
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # one core per process
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(run_condition, condition, n_neurons) for condition in conditions]
        detecting = {
            (rate_hz, minutes): pool.submit(run_detection, rate_hz, minutes, n_neurons)
            for rate_hz in DETECTION_RATES_HZ
            for minutes in DETECTION_MINUTES
        }
        results = [(condition, future.result()) for condition, future in zip(conditions, running, strict=True)]
        detection = {key: future.result() for key, future in detecting.items()}
    text = tables(results, detection, n_neurons)
    print(text)
    print(f"\n{n_neurons} neurons per condition, {time.perf_counter() - started:.0f} s")
    if not quick:
        before, rest = PAGE.read_text("utf-8").split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}", "utf-8")


if __name__ == "__main__":
    main()
