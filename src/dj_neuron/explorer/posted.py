"""What a browser posts: the values of a page's components, refused unless a page of ours can hold them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dj_neuron.errors import DjNeuronError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FARTHEST_UM = 1e9  # no screen is as large


class PostedError(DjNeuronError):
    """Something was posted that no page sends."""


def check_posted(body: object, callbacks: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that a callback is asked for as its page would ask.

    Parameters
    ----------
    body : object
        What was posted, as JSON says it.
    callbacks : mapping
        The callbacks that Dash knows, by their outputs.

    Raises
    ------
    PostedError
        If there is no such callback, or it would be given other components or other kinds of values.
    """
    match body:
        case {
            "output": str() as output,
            "outputs": outputs,
            "inputs": list() as inputs,
            "changedPropIds": list() as changed,
            **rest,
        }:
            values = inputs + _listed(rest.get("state", []))
        case _:
            raise PostedError("a callback was asked for without its outputs, inputs and what changed")
    # the browser's own callbacks are known to Dash, too, but have nothing to run here
    known = callbacks.get(output, {})
    if "callback" not in known or _joined(outputs) != output:
        raise PostedError(f"a callback was asked for by outputs {output[:100]!r}, expected those of a callback")
    expected = [f"{one['id']}.{one['property']}" for one in (*known["inputs"], *known["state"])]
    if [_name(one) for one in values] != expected or not all(name in expected for name in changed):
        raise PostedError(f"the callback of {output} was asked for with other inputs, expected {', '.join(expected)}")
    for name, one in zip(expected, values, strict=True):
        if not can_hold(name, one.get("value")):
            raise PostedError(f"the callback of {output} was given a value of {name} that no page holds")


def can_hold(name: str, value: object) -> bool:
    """Whether a property of a component, ``id.property``, can have a value on a page; what is not listed has none."""
    match name, value:
        case "strf-a.clickData" | "strf-b.clickData", {"points": [{"x": x, "y": y}, *_]}:
            return _is_near(x) and _is_near(y)
        # a slider may give its place as text
        case "delay.value" | "settled.data", int() | str():
            return re.fullmatch(r"\d{1,9}", str(value)) is not None
        case (
            ("url.pathname" | "url.search", str() | None)
            | ("shown.data", dict() | None)
            | ("of-a.data" | "of-b.data", {"path": str(), "row": int() | None, "side": "a" | "b"})
            | ("strf-a.clickData" | "strf-b.clickData" | "settled.data", None)
            | ("spike.value" | "tick.n_intervals", int() | float() | None)
        ):
            return True
    return False


def _is_near(place_um: object) -> bool:
    # NaN is near nothing
    return isinstance(place_um, int | float) and abs(place_um) < _FARTHEST_UM


def _listed(values: object) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _name(one: object) -> str:
    match one:
        case {"id": str() as component, "property": str() as name}:
            return f"{component}.{name}"
    return ""


def _joined(outputs: object) -> str:
    """Write outputs as Dash names the callback that has them."""
    names = [_name(one) for one in _listed(outputs)]
    return f"..{'...'.join(names)}.." if isinstance(outputs, list) else names[0]
