"""Contracts as notebooks show them: a title, a small table with units, a thumbnail. All words are escaped."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from dj_neuron.contracts.numbers import UNKNOWN, number_text
from dj_neuron.contracts.thumbnails import course_image, map_image, spikes_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dj_neuron.contracts.covariance import CovarianceResult
    from dj_neuron.contracts.movie import Movie
    from dj_neuron.contracts.receptive_field import MosaicResult, ReceptiveFieldResult
    from dj_neuron.contracts.recording import Session, SpikeTrain, Stimulation
    from dj_neuron.contracts.result import Strf

    Facts = Iterable[tuple[str, str]]

_MOST_ROWS = 12
_POLARITY = {1.0: "ON", -1.0: "OFF"}
# what a measure is called, its name in the tables, unit and factor
_MEASURES = (
    ("spikes", "n_spikes", "", 1.0),
    ("peak z", "peak_z", "", 1.0),
    ("p", "p_value_field", "", 1.0),
    ("q", "q_value_field", "", 1.0),
    ("centre x", "centre_x_um", "µm", 1.0),
    ("centre y", "centre_y_um", "µm", 1.0),
    ("σ major", "sigma_major_um", "µm", 1.0),
    ("σ minor", "sigma_minor_um", "µm", 1.0),
    ("time to peak", "time_to_peak_s", "ms", 1e3),
    ("biphasic index", "biphasic_index", "", 1.0),
    ("test correlation", "test_correlation", "", 1.0),
    ("needed for 0.9", "minutes_needed", "min", 1.0),
)


def card(title: str, facts: Facts, *, picture: str = "", more: str = "") -> str:
    """Give HTML: a title, facts as rows of a table, a picture beside them; `picture` and `more` are HTML already."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left">{html.escape(value)}</td></tr>'
        for name, value in facts
    )
    beside = f'<div style="padding:0.3em">{picture}</div>' if picture else ""
    return (
        f'<div class="dj-neuron"><strong>{html.escape(title)}</strong>'
        f'<div style="display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start"><table>{rows}</table>{beside}</div>'
        f"{more}</div>"
    )


def listing(columns: Sequence[str], rows: Sequence[Sequence[Any]], what: str) -> str:
    """Give HTML: the first rows of a table, and how many more there are."""
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows[:_MOST_ROWS]
    )
    left = len(rows) - _MOST_ROWS
    more = f"<div>and {left} more {html.escape(what)}</div>" if left > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}" if rows else f"no {what}"


def movie_html(movie: Movie) -> str:
    """Blocks and levels, and the first frame."""
    levels = "graded" if movie.levels is None else "{:g} and {:g}".format(*movie.levels)
    facts = [
        ("frames", f"{movie.n_frames:,}"),
        ("blocks", f"{movie.n_y} rows × {movie.n_x} columns"),
        ("block", "{} × {} screen pixels".format(*movie.block_size_px)),
        ("levels", levels),
    ]
    return card("Movie", facts, picture=_first_frame(movie))


def spike_train_html(train: SpikeTrain) -> str:
    """Spikes, their span, and counts over time."""
    facts = [("spikes", f"{train.n_spikes:,}")]
    if train.label:
        facts.append(("label", train.label))
    if train.n_spikes:
        facts.append(("first to last", f"{train.times_s[0]:.2f} to {train.times_s[-1]:.2f} s"))
    picture = spikes_image(train.times_s, "spike counts from first to last spike") if train.n_spikes > 1 else ""
    return card(f"SpikeTrain, neuron {train.neuron_id}", facts, picture=picture)


def stimulation_html(stimulation: Stimulation) -> str:
    """The movie, when it was shown, and the neurons."""
    movie = stimulation.movie
    trains = stimulation.spike_trains
    gaps = 0 if stimulation.gaps_s is None else len(stimulation.gaps_s)
    facts = [
        ("movie", f"{movie.n_frames:,} frames of {movie.n_y} × {movie.n_x} blocks"),
        ("block", "{:.4g} × {:.4g} µm".format(*stimulation.block_size_um)),
        ("frame rate", f"{stimulation.frame_rate_hz:.6g} Hz"),
        ("frame times", "regular" if stimulation.frame_edges_s is None else f"measured, {gaps} gap(s)"),
        ("onset to end", f"{stimulation.onset_s:.2f} to {stimulation.end_s:.2f} s"),
        ("neurons", f"{len(trains)}, {sum(train.n_spikes for train in trains):,} spikes"),
    ]
    rows = [(train.neuron_id, train.label, f"{train.n_spikes:,}") for train in trains]
    return card(
        f"Stimulation {stimulation.stimulation_number}", facts, picture=_first_frame(movie),
        more=listing(("neuron", "label", "spikes"), rows, "neurons"),
    )  # fmt: skip


def session_html(session: Session) -> str:
    """Where it is from, and its stimulations."""
    facts = [
        ("species", session.species),
        ("description", session.subject_description),
        ("note", session.note),
        ("read from", session.source.file_name),
        ("neurons", str(len(session.neuron_labels))),
    ]
    rows = [
        (
            one.stimulation_number,
            f"{one.movie.n_y} × {one.movie.n_x}",
            f"{one.frame_rate_hz:.6g}",
            f"{(one.end_s - one.onset_s) / 60:.1f}",
            len(one.spike_trains),
            f"{sum(train.n_spikes for train in one.spike_trains):,}",
        )
        for one in session.stimulations
    ]
    columns = ("stimulation", "blocks, y × x", "frames / s", "minutes", "neurons", "spikes")
    return card(f"Session: {session}", [fact for fact in facts if fact[1]], more=listing(columns, rows, "stimulations"))


def strf_html(strf: Strf) -> str:
    """Delays, spikes and peak, and a picture: the map at the peak, space against time of bars, or the course."""
    used = strf.ledger.n_used
    n_y, n_x = strf.values.shape[1:]
    peak = _peak(strf)
    facts = [
        ("estimator", "spike-triggered average" if strf.estimator == "sta" else strf.estimator),
        ("delays", f"{strf.delays_s.size} from {_ms(strf.delays_s[0])} to {_ms(strf.delays_s[-1])} before the spike"),
        ("blocks", "{} rows × {} columns of {:.4g} × {:.4g} µm".format(n_y, n_x, *strf.block_size_um)),
        ("spikes", f"{strf.n_spikes:,}, {used.min():,} to {used.max():,} used per delay"),
    ]
    if peak is None:
        return card(f"Strf: {strf.label}", [*facts, ("peak", "too few spikes")])
    place, when = strf.values[peak], _ms(strf.delays_s[peak[0]])
    height = f", z = {number_text(float(strf.z[peak]))}" if strf.estimator == "sta" else ""
    facts.append(("peak", f"{number_text(float(place))} at {when}{height}"))
    if min(n_y, n_x) > 1:
        picture = map_image(strf.values[peak[0]], f"map at {when}, the peak")
    elif max(n_y, n_x) > 1:
        over_space = strf.values.reshape(strf.delays_s.size, -1)[::-1]
        picture = map_image(over_space.T, "space, downwards, against time, the spike at the right", square=True)
    else:
        picture = course_image(strf.values[::-1].ravel(), "course, the spike at the right")
    return card(f"Strf: {strf.label}", facts, picture=picture)


def receptive_field_html(field: ReceptiveFieldResult) -> str:
    """Measures with their errors, why others are missing, and the map."""
    facts = [("polarity", _POLARITY.get(field.measures.get("polarity") or 0.0, UNKNOWN))]
    for words, name, unit, scale in _MEASURES:
        value, error = field.measures.get(name), field.measures.get(f"{name}_se")
        if value is not None and math.isfinite(value):
            is_count = name == "n_spikes"
            text = f"{value:,.0f}" if is_count else number_text(value * scale, (error or math.nan) * scale)
            facts.append((words, f"{text} {unit}".strip()))
    facts += [
        (f"no {kind}" if not field.has_field else kind, reason) for kind, reason in field.reasons.items() if reason
    ]
    is_map = field.has_field and min(field.region.shape) > 1
    sign = -1 if field.measures.get("polarity") == -1 else 1
    picture = map_image(sign * field.spatial_map, "map of the field, right way up") if is_map else ""
    if not picture and np.isfinite(field.time_course).any():
        picture = course_image(field.time_course[::-1], "time course, the spike at the right")
    title = "Receptive field" if field.has_field else "No receptive field beyond chance"
    return card(f"{title}: {field.label}", facts, picture=picture)


def mosaic_html(mosaic: MosaicResult) -> str:
    """How regular the fields of one polarity lie."""
    facts = [
        (
            name.replace("_", " "),
            UNKNOWN if value is None else f"{value:g}" if name.startswith("n_") else number_text(value),
        )
        for name, value in mosaic.measures.items()
    ]
    if mosaic.reason:
        facts.append(("note", mosaic.reason))
    return card(f"Mosaic of {_POLARITY[mosaic.polarity]} fields: {mosaic.stimulation_id}", facts)


def covariance_html(covariance: CovarianceResult) -> str:
    """Every filter that was found, or why nothing was tested."""
    rows = [
        (
            one.number,
            "excitatory" if one.is_excitatory else "suppressive",
            *map(number_text, (one.variance, one.p_value)),
        )
        for one in covariance.filters
    ]
    facts = [("looked at", f"{np.count_nonzero(covariance.looked_at):,} blocks and delays")]
    if covariance.reason:
        facts.append(("not tested", covariance.reason))
    more = listing(("filter", "kind", "variance", "p"), rows, "significant filters")
    return card(f"Spike-triggered covariance: {covariance.label}", facts, more=more)


def _first_frame(movie: Movie) -> str:
    frame = movie.frames(0, 1)[0].astype(np.float64)
    low, high = float(frame.min()), float(frame.max())
    centred = 2 * (frame - low) / (high - low) - 1 if high > low else np.zeros_like(frame)
    return map_image(centred, "first frame", grey=True)


def _peak(strf: Strf) -> tuple[int, int, int] | None:
    """Delay, row and column of the largest |z| at delays from 0, of a ridge estimate the largest absolute value."""
    height = np.abs(strf.z if strf.estimator == "sta" else strf.values)
    height = np.where(np.isfinite(height) & (strf.delays_s >= 0)[:, None, None], height, -1.0)
    delay_idx, row, column = np.unravel_index(height.argmax(), height.shape)
    return None if height.max() < 0 else (int(delay_idx), int(row), int(column))


def _ms(delay_s: float) -> str:
    return f"{delay_s * 1e3:.1f} ms".replace(".0 ms", " ms").replace("-", "\N{MINUS SIGN}")
