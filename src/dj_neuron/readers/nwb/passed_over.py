"""What PyNWB passes over: groups of a type that it does not know there, columns that are in no list, units of times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dj_neuron.contracts.arguments import shown
from dj_neuron.errors import ReadError
from dj_neuron.readers.nwb.own_tables import MODULE
from dj_neuron.readers.nwb.units import TAKEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pynwb import NWBFile
    from pynwb.core import NWBContainer

    from dj_neuron.readers.nwb.sidecar import Sidecar


_SECONDS = {"seconds", "second", "sec", "s"}


def stimuli_passed_over(file: NWBFile) -> list[str]:
    """Give the names of stimuli that the file holds and that were not read."""
    return [builder.name for builder in _passed_over(file, "stimulus/presentation", file.stimulus.values())]


def refuse_passed_over(file: NWBFile, sidecar: Sidecar, place: str) -> None:
    """Raise ReadError if what a session is made of was not read.

    Stimuli may be passed over where the sidecar names those to take.
    """
    module = file.processing.get(MODULE)
    lost = [
        *(_passed_over(file, "stimulus/presentation", file.stimulus.values()) if not sidecar.stimulations else ()),
        *(one for one in _passed_over(file, "processing", file.processing.values()) if one.name == MODULE),
        *_passed_over(file, f"processing/{MODULE}", module.data_interfaces.values() if module else ()),
    ]
    for builder in lost:
        namespace, kind = (builder.attributes.get(name) for name in ("namespace", "neurodata_type"))
        has = f"is of type {shown(f'{namespace}.{kind}')}" if kind else "has no neurodata_type"
        raise ReadError(f"{place}: {_path(builder)} {has}, expected a type that NWB has there")
    units = file.units
    for builder in _passed_over(file, "units", () if units is None else (units.id, *units.columns)):
        if builder.name in TAKEN:
            raise ReadError(
                f"{place}: {_path(builder)} is not among the colnames of units, expected every column there"
            )
    for name in () if units is None else ("spike_times", "obs_intervals"):
        if problem := what_is_no_second(units, name):
            raise ReadError(f"{place}: units: {problem}")


def what_is_no_second(container: NWBContainer, name: str) -> str:
    """Say what is wrong with the attributes of a dataset of times, of which PyNWB reads none: a unit, an interval.

    NWB has a single word for each of them, seconds and 1, and for the unit of spikes none at all.
    """
    io = container.get_read_io()
    found = None if io is None else io.manager.get_builder(container).get(name)
    said = getattr(getattr(found, "builder", found), "attributes", {})  # a link has the builder of what it leads to
    unit, interval = _word(said.get("unit", "s")), _word(said.get("interval", 1))
    if unit.strip().lower() not in _SECONDS:
        return f"{name} has the unit {shown(unit)}, expected 'seconds'"
    if interval not in {"1", "1.0"}:
        return f"{name} has the interval {interval:.40}, expected 1, which is a time for every frame"
    return ""


def _word(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _path(builder: Any) -> str:
    return str(builder.path).removeprefix("root/")[:200]


def _passed_over(file: NWBFile, group: str, read: Iterable[Any]) -> list[Any]:
    """Give what HDMF found in a group and made nothing of, whatever links lead there."""
    found = file.read_io.read_builder().get(group)
    if found is None:
        return []
    taken = {id(file.read_io.manager.get_builder(container)) for container in read}
    held = [*found.groups.values(), *found.datasets.values(), *(link.builder for link in found.links.values())]
    return [builder for builder in held if id(builder) not in taken]
