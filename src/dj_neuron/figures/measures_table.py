"""All measures of a receptive field as a table, with their standard errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dj_neuron.figures import style
from dj_neuron.pictures.words import POLARITY, UNKNOWN, measure, measure_text, polarity_of, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dj_neuron.contracts import ReceptiveFieldResult

_NO_UNIT = ("", 1.0)
_UM, _MS, _DEG, _MIN = ("µm", 1.0), ("ms", 1e3), ("°", 1.0), ("min", 1.0)

# group, its rows: what it is called, the measure, unit and factor
_GROUPS: tuple[tuple[str, tuple[tuple[str, str, tuple[str, float]], ...]], ...] = (
    (
        "significance",
        (
            ("spikes", "n_spikes", _NO_UNIT),
            ("z of the peak", "peak_z", _NO_UNIT),
            ("|z| needed", "threshold_z", _NO_UNIT),
            ("p, this neuron", "p_value", _NO_UNIT),
            ("q, among neurons", "q_value", _NO_UNIT),
            ("p, field of any size", "p_value_field", _NO_UNIT),
        ),
    ),
    (
        "space",
        (
            ("centre x", "centre_x_um", _UM),
            ("centre y", "centre_y_um", _UM),
            ("σ, major axis", "sigma_major_um", _UM),
            ("σ, minor axis", "sigma_minor_um", _UM),
            ("angle", "angle_deg", _DEG),
            ("separability", "separability", _NO_UNIT),
        ),
    ),
    (
        "time",
        (
            ("polarity", "polarity", _NO_UNIT),
            ("time to peak", "time_to_peak_s", _MS),
            ("zero crossing", "zero_crossing_s", _MS),
            ("duration", "lobe_duration_s", _MS),
            ("biphasic index", "biphasic_index", _NO_UNIT),
        ),
    ),
    (
        "prediction and recording",
        (
            ("test correlation", "test_correlation", _NO_UNIT),
            ("bits per spike", "bits_per_spike", _NO_UNIT),
            ("split-half correlation", "split_half_r", _NO_UNIT),
            ("reliability", "reliability", _NO_UNIT),
            ("needed for 0.9", "minutes_needed", _MIN),
        ),
    ),
)
_LINE_IN = 0.165
_REASON_LETTERS = 52  # in the width of the table


def table_rows(field: ReceptiveFieldResult) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Give groups of rows: what it is called, the number with its error, the unit; a dash where it is not known."""
    return [(group, [_row(field, *row) for row in rows]) for group, rows in _GROUPS]


def reason_lines(field: ReceptiveFieldResult) -> list[str]:
    """Give why measures are missing, one line per kind and reason."""
    return [f"{kind}: {reason}" for kind, reason in field.reasons.items() if reason]


def draw_measures(field: ReceptiveFieldResult, ax: Axes) -> Axes:
    """Write the table and, below it, the reasons; fills the Axes from the top, in lines of equal height.

    Parameters
    ----------
    ax : Axes
        At least 2.6 inches wide; its own lines and ticks are taken away.
    """
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    height_in = style.axes_size_in(ax)[1]
    line = _LINE_IN / height_in
    y = 1.0 - line
    for group, rows in table_rows(field):
        _write(ax, 0, y, group, weight="bold")
        ax.plot([0, 1], [y - 0.3 * line] * 2, color=style.FAINT, linewidth=0.6, clip_on=False)
        y -= 1.3 * line
        for words, number, unit in rows:
            _write(ax, 0.02, y, words)
            _write(ax, 0.86, y, number, ha="right")
            _write(ax, 0.88, y, unit)
            y -= line
        y -= 0.45 * line
    for reason in reason_lines(field):
        for part in wrapped(reason, _REASON_LETTERS).splitlines():
            _write(ax, 0, y, part, style="italic", color=style.CONTROL)
            y -= line
    return ax


def _write(ax: Axes, x: float, y: float, text: str, **words: Any) -> None:
    options = {"fontsize": style.SMALL_PT, "color": style.INK, "va": "baseline", **words}
    ax.text(x, y, text, parse_math=False, **options)


def _row(field: ReceptiveFieldResult, words: str, name: str, unit: tuple[str, float]) -> tuple[str, str, str]:
    if name == "polarity":
        return words, POLARITY.get(polarity_of(field) or 0, UNKNOWN), ""
    if name == "n_spikes":
        return words, f"{measure(field, name):,.0f}", ""
    number = measure_text(field, name, unit[1])
    return words, number, "" if number == UNKNOWN else unit[0]
