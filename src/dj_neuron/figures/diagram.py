"""The pipeline's tables as a picture that needs no graphviz."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import networkx as nx
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path

from dj_neuron.errors import ContractError
from dj_neuron.figures import style
from dj_neuron.figures.diagram_layout import Box, Layout, layered_layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes

Tier = Literal["Manual", "Lookup", "Imported", "Computed", "Part"]

# fill and outline; the hues follow DataJoint's own diagrams
_COLOURS: dict[str, tuple[str, str]] = {
    "Manual": ("#dcefdc", "#3a7d44"),
    "Lookup": ("#ececec", "#6b6b6b"),
    "Imported": ("#dbe7f6", "#2f5f9e"),
    "Computed": ("#f9dedc", "#b0382f"),
    "Part": ("#ffffff", "#b0382f"),
}
_NAME_PT, _ROWS_PT, _SCHEMA_PT = 9.5, 8.0, 9.0
_MARGIN = 0.15
_LEGEND_ROW = 0.3
_BAND = "#f7f5f0"


@dataclass(frozen=True)
class TableNode:
    """A table: `name` is unique in the diagram; `n_rows` is None where it was not counted."""

    name: str
    tier: Tier
    schema: str
    n_rows: int | None = None

    def __post_init__(self) -> None:
        if self.tier not in get_args(Tier):
            raise ContractError(
                f"table {self.name}: tier is {self.tier!r}, expected one of {', '.join(get_args(Tier))}"
            )

    @property
    def rows_text(self) -> str:
        """The line under the name."""
        if self.n_rows is None:
            return ""
        return "1 row" if self.n_rows == 1 else f"{self.n_rows:,} rows"


class TableEdge(NamedTuple):
    """A foreign key from child to parent; a plain tuple of the three does as well."""

    parent: str
    child: str
    in_primary_key: bool


def draw_diagram(nodes: Sequence[TableNode], edges: Iterable[tuple[str, str, bool]], ax: Axes) -> Axes:
    """Draw tables as boxes from parents down to children, one band per schema.

    Parameters
    ----------
    nodes : sequence of TableNode
        In the order in which schemas and tables should appear where the foreign keys leave a choice.
    edges : iterable of (parent, child, in_primary_key)
        Names of nodes; solid lines where the foreign key is in the child's primary key, else dashed.
    ax : Axes
        To draw on; letters shrink with it. :func:`diagram_figure` makes one of the right size.

    Raises
    ------
    ContractError
        If names are repeated or unknown, or foreign keys run in a circle.
    """
    edges = _checked(nodes, edges)
    layout = _layout(nodes, edges)
    gutter, width, height = _page(nodes, layout)
    width_in, height_in = style.axes_size_in(ax)
    scale = min(width_in / width, height_in / height)
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.set_axis_off()
    shift = gutter + (width - gutter - 2 * _MARGIN - layout.width) / 2

    for band in layout.bands:
        top, tall = band.top + _MARGIN, band.bottom - band.top
        strip = (_MARGIN, top, width - 2 * _MARGIN, tall)
        ax.add_patch(_rounded(strip, _BAND, _BAND, scale, zorder=0))
        ax.text(
            2 * _MARGIN, top + 0.2, band.schema, fontsize=_SCHEMA_PT * scale, color=style.CONTROL, style="italic",
            va="center", parse_math=False,
        )  # fmt: skip
    for parent, child, in_primary_key in edges:
        points = [(x + shift, y + _MARGIN) for x, y in layout.routes[parent, child]]
        _draw_edge(ax, points, in_primary_key=in_primary_key, scale=scale)
    for node in nodes:
        box = layout.boxes[node.name]
        _draw_table(ax, node, replace(box, x=box.x + shift, y=box.y + _MARGIN), scale)
    _draw_legend(ax, nodes, edges, (2 * _MARGIN, layout.height + 2 * _MARGIN), scale)
    return ax


def diagram_figure(nodes: Sequence[TableNode], edges: Iterable[tuple[str, str, bool]]) -> Figure:
    """Table diagram on a figure of the size at which its letters have their natural size."""
    edges = _checked(nodes, edges)
    _, width, height = _page(nodes, _layout(nodes, edges))
    figure = Figure(figsize=(width, height))
    draw_diagram(nodes, edges, figure.add_axes((0, 0, 1, 1)))
    return figure


def _checked(nodes: Sequence[TableNode], edges: Iterable[tuple[str, str, bool]]) -> list[TableEdge]:
    names = [node.name for node in nodes]
    if not names:
        raise ContractError("a diagram without tables, expected at least one")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ContractError(f"table {repeated} is given twice, expected each name once")
    checked = [TableEdge(*edge) for edge in edges]
    for edge in checked:
        for name in edge[:2]:
            if name not in names:
                raise ContractError(f"foreign key {edge.parent} -> {edge.child}: there is no table {name}")
    if not nx.is_directed_acyclic_graph(nx.DiGraph([edge[:2] for edge in checked])):
        raise ContractError("foreign keys run in a circle, expected parents above their children")
    return checked


def _layout(nodes: Sequence[TableNode], edges: Sequence[TableEdge]) -> Layout:
    widths = {
        node.name: max(
            style.text_width_in(node.name, _NAME_PT, bold=True) + 0.3,
            style.text_width_in(node.rows_text, _ROWS_PT) + 0.3,
            1.0,
        )
        for node in nodes
    }
    return layered_layout(widths, {node.name: node.schema for node in nodes}, [edge[:2] for edge in edges])


def _page(nodes: Sequence[TableNode], layout: Layout) -> tuple[float, float, float]:
    """Right edge of the schema names, and width and height of the whole page."""
    gutter = 2 * _MARGIN
    for band in layout.bands:
        name_width = 2 * _MARGIN + style.text_width_in(band.schema, _SCHEMA_PT) + 0.2
        gutter = max(gutter, name_width - layout.free_left(band.top, band.top + 0.4))
    legend = sum(_legend_widths(nodes)) + 4 * _MARGIN
    names = max(style.text_width_in(band.schema, _SCHEMA_PT) for band in layout.bands) + 4 * _MARGIN
    width = max(gutter + layout.width + 2 * _MARGIN, legend, names)
    return gutter, width, layout.height + 3 * _MARGIN + 2 * _LEGEND_ROW


def _tiers(nodes: Sequence[TableNode]) -> list[str]:
    return [tier for tier in _COLOURS if any(node.tier == tier for node in nodes)]


def _legend_widths(nodes: Sequence[TableNode]) -> list[float]:
    return [style.text_width_in(tier, _ROWS_PT) + 0.55 for tier in _tiers(nodes)]


def _rounded(
    rectangle: tuple[float, float, float, float], fill: str, outline: str, scale: float, *, zorder: float
) -> FancyBboxPatch:
    left, top, width, height = rectangle
    return FancyBboxPatch(
        (left, top),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.07",
        facecolor=fill,
        edgecolor=outline,
        linewidth=1.1 * scale,
        zorder=zorder,
    )


def _draw_table(ax: Axes, node: TableNode, box: Box, scale: float) -> None:
    fill, outline = _COLOURS[node.tier]
    rectangle = (box.x - box.width / 2, box.y - box.height / 2, box.width, box.height)
    patch = _rounded(rectangle, fill, outline, scale, zorder=3)
    patch.set_label(node.name)
    ax.add_patch(patch)
    words = {"ha": "center", "va": "center", "zorder": 4, "parse_math": False}
    name_y = box.y - 0.09 if node.rows_text else box.y
    ax.text(box.x, name_y, node.name, fontsize=_NAME_PT * scale, weight="bold", color=style.INK, **words)  # type: ignore[arg-type]
    if node.rows_text:
        ax.text(box.x, box.y + 0.11, node.rows_text, fontsize=_ROWS_PT * scale, color=style.INK, **words)  # type: ignore[arg-type]


def _draw_edge(ax: Axes, points: Sequence[tuple[float, float]], *, in_primary_key: bool, scale: float) -> None:
    head_x, head_y = points[-1]
    ends = [*points[:-1], (head_x, head_y - 0.1)]
    vertices, codes = [ends[0]], [Path.MOVETO]
    for i, ((x0, y0), (x1, y1)) in enumerate(pairwise(ends)):
        if i % 2:
            vertices.append((x1, y1))
            codes.append(Path.LINETO)
        else:
            middle = (y0 + y1) / 2
            vertices += [(x0, middle), (x1, middle), (x1, y1)]
            codes += [Path.CURVE4] * 3
    line = "solid" if in_primary_key else (0, (4, 2.5))
    patch = PathPatch(
        Path(vertices, codes), facecolor="none", edgecolor=style.INK, linewidth=1.1 * scale, linestyle=line, zorder=2
    )
    ax.add_patch(patch)
    head = [(head_x - 0.045, head_y - 0.11), (head_x + 0.045, head_y - 0.11), (head_x, head_y - 0.01)]
    ax.add_patch(Polygon(head, closed=True, facecolor=style.INK, edgecolor="none", zorder=2))


def _draw_legend(
    ax: Axes, nodes: Sequence[TableNode], edges: Sequence[TableEdge], corner: tuple[float, float], scale: float
) -> None:
    words = {"va": "center", "fontsize": _ROWS_PT * scale, "color": style.INK}
    left, y = corner[0], corner[1] + _LEGEND_ROW / 2
    x = left
    for tier, width in zip(_tiers(nodes), _legend_widths(nodes), strict=True):
        ax.add_patch(_rounded((x, y - 0.07, 0.22, 0.14), *_COLOURS[tier], scale, zorder=3))
        ax.text(x + 0.29, y, tier, **words)  # type: ignore[arg-type]
        x += width
    x, y = left, y + _LEGEND_ROW
    for in_primary_key, text in ((True, "in the primary key"), (False, "not in the primary key")):
        if any(edge.in_primary_key == in_primary_key for edge in edges):
            style_of_line = "-" if in_primary_key else (0, (4, 2.5))
            ax.plot([x, x + 0.38], [y, y], color=style.INK, linewidth=1.1 * scale, linestyle=style_of_line)
            ax.text(x + 0.46, y, text, **words)  # type: ignore[arg-type]
            x += style.text_width_in(text, _ROWS_PT) + 0.75
