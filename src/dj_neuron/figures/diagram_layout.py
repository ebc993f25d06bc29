"""Where the boxes and lines of a table diagram go: layers from parents to children, schema by schema.

Boxes of a layer share one height on the page and lines bend only between layers, so a line never
runs through a box: on its way past a layer it has a lane of its own there.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

BOX_HEIGHT = 0.5
_LAYER_GAP = 0.46
_BAND_PAD = 0.22
_BAND_GAP = 0.24
_BOX_GAP = 0.34
_LANE_WIDTH = 0.1
_SWEEPS = 24

Node = str | tuple[str, str, int]  # a table, or the lane of an edge in a layer


@dataclass(frozen=True)
class Box:
    """Centre and size of a table, in inches; y runs downwards."""

    x: float
    y: float
    width: float
    height: float = BOX_HEIGHT


@dataclass(frozen=True)
class Band:
    """The strip of the page that belongs to one schema."""

    schema: str
    top: float
    bottom: float


@dataclass(frozen=True)
class Layout:
    """Boxes by table, points of every edge from parent to child, bands, and the size of all, in inches."""

    boxes: dict[str, Box]
    routes: dict[tuple[str, str], list[tuple[float, float]]]
    bands: list[Band]
    width: float
    height: float

    def free_left(self, top: float, bottom: float) -> float:
        """Width without boxes and lines at the left of the strip from `top` to `bottom`."""
        boxes = [
            box.x - box.width / 2
            for box in self.boxes.values()
            if box.y - box.height / 2 < bottom and box.y + box.height / 2 > top
        ]
        lines = [
            min(x0, x1)
            for points in self.routes.values()
            for (x0, y0), (x1, y1) in pairwise(points)
            if y0 < bottom and y1 > top
        ]
        return min([self.width, *boxes, *lines])


def layered_layout(widths: Mapping[str, float], schemas: Mapping[str, str], edges: Sequence[tuple[str, str]]) -> Layout:
    """Lay out an acyclic graph of tables from the top down.

    Parameters
    ----------
    widths, schemas : mapping
        Width of the box in inches, and schema, by table.
    edges : sequence of (parent, child)
        Both in `widths`; without cycles.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(widths)
    graph.add_edges_from(edges)
    bands, layer_of = _layers(graph, schemas)
    layers, links = _with_lanes(graph, layer_of)
    _untangle(layers, links)
    sizes = {node: widths[node] if isinstance(node, str) else _LANE_WIDTH for layer in layers for node in layer}
    ports = _ports(layers, links, sizes)
    x_of = _columns(layers, links, sizes, ports)
    left = min(x_of[node] - sizes[node] / 2 for node in x_of)
    x_of = {node: x - left for node, x in x_of.items()}

    y_of_layer, drawn_bands, height = _rows(bands)
    boxes = {name: Box(x_of[name], y_of_layer[layer_of[name]], widths[name]) for name in widths}
    routes = {}
    for parent, child in graph.edges:
        lanes: list[Node] = [(parent, child, layer) for layer in range(layer_of[parent] + 1, layer_of[child])]
        ends = ports[parent, (*lanes, child)[0]][0], ports[(parent, *lanes)[-1], child][1]
        points = [(x_of[lane], y_of_layer[int(lane[2])]) for lane in lanes]
        routes[parent, child] = _route((parent, child), boxes, points, ends)
    width = max(x_of[node] + sizes[node] / 2 for node in x_of)
    return Layout(boxes, routes, drawn_bands, width, height)


def _layers(graph: nx.DiGraph, schemas: Mapping[str, str]) -> tuple[list[tuple[str, int]], dict[str, int]]:
    """Name and number of layers of every band from the top, and the layer of every table."""
    between = nx.DiGraph()
    between.add_nodes_from(dict.fromkeys(schemas[name] for name in graph))
    between.add_edges_from(
        (schemas[parent], schemas[child]) for parent, child in graph.edges if schemas[parent] != schemas[child]
    )
    condensed = nx.condensation(between)  # schemas that refer to each other share a band
    rank = {schema: i for i, schema in enumerate(between)}
    ordered = nx.lexicographical_topological_sort(
        condensed, key=lambda group: min(rank[schema] for schema in condensed.nodes[group]["members"])
    )
    bands: list[tuple[str, int]] = []
    layer_of: dict[str, int] = {}
    first = 0
    for group in ordered:
        members = sorted(condensed.nodes[group]["members"], key=rank.__getitem__)
        inner = graph.subgraph([name for name in graph if schemas[name] in members])
        depth = {name: i for i, names in enumerate(nx.topological_generations(inner)) for name in names}
        for name in reversed(list(nx.topological_sort(inner))):
            if not inner.pred[name] and inner.succ[name]:
                depth[name] = min(depth[child] for child in inner.succ[name]) - 1
        n_layers = max(depth.values()) + 1
        layer_of.update({name: first + depth[name] for name in depth})
        bands.append((", ".join(members), n_layers))
        first += n_layers
    return bands, layer_of


def _with_lanes(graph: nx.DiGraph, layer_of: Mapping[str, int]) -> tuple[list[list[Node]], list[tuple[Node, Node]]]:
    layers: list[list[Node]] = [[] for _ in range(max(layer_of.values()) + 1)]
    for name in graph:
        layers[layer_of[name]].append(name)
    links: list[tuple[Node, Node]] = []
    for parent, child in graph.edges:
        above: Node = parent
        for layer in range(layer_of[parent] + 1, layer_of[child]):
            lane = (parent, child, layer)
            layers[layer].append(lane)
            links.append((above, lane))
            above = lane
        links.append((above, child))
    return layers, links


def _untangle(layers: list[list[Node]], links: Sequence[tuple[Node, Node]]) -> None:
    """Order every layer by the barycentre of its neighbours, down and up, and keep the fewest crossings."""
    above, below = _neighbours(links)
    best, fewest = [list(layer) for layer in layers], _n_crossings(layers, links)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        neighbours = above if downwards else below
        for layer in layers[1:] if downwards else layers[-2::-1]:
            place = _places(layers)
            order = {
                node: np.mean([place[other] for other in neighbours[node]]) if neighbours[node] else place[node]
                for node in layer
            }
            layer.sort(key=order.__getitem__)
        crossings = _n_crossings(layers, links)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    for layer, order_kept in zip(layers, best, strict=True):
        layer[:] = order_kept


def _neighbours(links: Sequence[tuple[Node, Node]]) -> tuple[dict[Node, list[Node]], dict[Node, list[Node]]]:
    above: dict[Node, list[Node]] = defaultdict(list)
    below: dict[Node, list[Node]] = defaultdict(list)
    for upper, lower in links:
        above[lower].append(upper)
        below[upper].append(lower)
    return above, below


def _places(layers: Sequence[Sequence[Node]]) -> dict[Node, float]:
    return {node: (i + 0.5) / len(layer) for layer in layers for i, node in enumerate(layer)}


def _n_crossings(layers: Sequence[Sequence[Node]], links: Sequence[tuple[Node, Node]]) -> int:
    layer_of = {node: i for i, layer in enumerate(layers) for node in layer}
    place = _places(layers)
    by_layer: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for upper, lower in links:
        by_layer[layer_of[upper]].append((place[upper], place[lower]))
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0
        for pairs in by_layer.values()
        for i, a in enumerate(pairs)
        for b in pairs[i + 1 :]
    )


def _columns(
    layers: Sequence[Sequence[Node]],
    links: Sequence[tuple[Node, Node]],
    sizes: Mapping[Node, float],
    ports: Mapping[tuple[Node, Node], tuple[float, float]],
) -> dict[Node, float]:
    """Pull every node to where its lines run straight, keeping order and distances within its layer."""
    pulls: dict[Node, list[tuple[Node, float, float]]] = defaultdict(list)  # other end, shift, weight
    for upper, lower in links:
        leaving, entering = ports[upper, lower]
        weight = float(8 ** (isinstance(upper, tuple) + isinstance(lower, tuple)))  # long lines should not wind
        pulls[lower].append((upper, leaving - entering, weight))
        pulls[upper].append((lower, entering - leaving, weight))
    x_of: dict[Node, float] = {}
    offsets = []
    for layer in layers:
        gaps = [(sizes[a] + sizes[b]) / 2 + _BOX_GAP for a, b in pairwise(layer)]
        offset = np.concatenate([[0.0], np.cumsum(gaps)])
        offsets.append(offset)
        x_of.update(zip(layer, offset - offset.mean(), strict=True))
    for sweep in range(4 * _SWEEPS):
        rows = range(len(layers)) if sweep % 2 == 0 else range(len(layers) - 1, -1, -1)
        for row in rows:
            layer, offset = layers[row], offsets[row]
            weights = [sum(weight for _, _, weight in pulls[node]) or 1.0 for node in layer]
            wanted = [
                sum((x_of[other] + shift) * weight for other, shift, weight in pulls[node]) / total
                if pulls[node]
                else x_of[node]
                for node, total in zip(layer, weights, strict=True)
            ]
            x_of.update(zip(layer, _nearest_ascending(np.array(wanted) - offset, weights) + offset, strict=True))
    return {node: float(x) for node, x in x_of.items()}


def _nearest_ascending(values: NDArray[np.float64], weights: Sequence[float]) -> NDArray[np.float64]:
    """Least-squares non-decreasing fit: neighbours out of order are pooled at their mean."""
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight, count
    for value, weight in zip(values.tolist(), weights, strict=True):
        pool = (value * weight, weight, 1)
        while pools and pools[-1][0] / pools[-1][1] > pool[0] / pool[1]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2] + pool[2])
        pools.append(pool)
    return np.concatenate([np.full(count, total / weight) for total, weight, count in pools])


def _rows(bands: Sequence[tuple[str, int]]) -> tuple[list[float], list[Band], float]:
    y_of_layer: list[float] = []
    drawn = []
    top = 0.0
    for schema, n_layers in bands:
        first = top + _BAND_PAD + BOX_HEIGHT / 2
        y_of_layer += [first + i * (BOX_HEIGHT + _LAYER_GAP) for i in range(n_layers)]
        bottom = y_of_layer[-1] + BOX_HEIGHT / 2 + _BAND_PAD
        drawn.append(Band(schema, top, bottom))
        top = bottom + _BAND_GAP
    return y_of_layer, drawn, top - _BAND_GAP


def _ports(
    layers: Sequence[Sequence[Node]], links: Sequence[tuple[Node, Node]], sizes: Mapping[Node, float]
) -> dict[tuple[Node, Node], tuple[float, float]]:
    """Where every link leaves the upper and enters the lower node, from their centres."""
    place = _places(layers)
    above, below = _neighbours(links)

    def port(node: Node, others: list[Node], other: Node) -> float:
        step = min(0.3, (sizes[node] - 0.3) / len(others)) if isinstance(node, str) else 0.0
        return (sorted(others, key=place.__getitem__).index(other) - (len(others) - 1) / 2) * step

    return {(a, b): (port(a, below[a], b), port(b, above[b], a)) for a, b in links}


def _route(
    edge: tuple[str, str],
    boxes: Mapping[str, Box],
    lanes: Sequence[tuple[float, float]],
    ports: tuple[float, float],
) -> list[tuple[float, float]]:
    """Points from the parent's lower edge to the child's upper one, two for every lane between."""
    parent, child = boxes[edge[0]], boxes[edge[1]]
    passing = [(x, y + side * BOX_HEIGHT / 2) for x, y in lanes for side in (-1, 1)]
    return [
        (parent.x + ports[0], parent.y + BOX_HEIGHT / 2),
        *passing,
        (child.x + ports[1], child.y - BOX_HEIGHT / 2),
    ]
