"""One NWB file per session: what was recorded, what was estimated, and where it comes from."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from dj_neuron import __version__, queries
from dj_neuron.errors import ExportError
from dj_neuron.export.existing import refuse_existing
from dj_neuron.export.hdf5_file import new_hdf5_file
from dj_neuron.export.names import day, shortened
from dj_neuron.export.nwb_about import About
from dj_neuron.whole import is_there, whole_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dj_neuron.contracts import Session

    Row = dict[str, Any]

_NAMESPACE = uuid.UUID("b1e0d8b4-5d3c-5d55-9f57-0c6f3a4f1c52")  # of identifiers, so that a session keeps its own


def export_nwb(
    folder: Path,
    restriction: Any = True,
    *,
    about: About | None = None,
    force: bool = False,
    progress: Callable[[Path], None] | None = None,
) -> list[Path]:
    """Write one NWB file per session, also for a session without stimulations.

    Parameters
    ----------
    folder : Path
        Made if it is missing; the files are named by subject, date and sample.
    restriction
        Anything DataJoint takes, on sessions.
    about : About, optional
        What NWB wants to know and the tables do not hold; see :func:`dj_neuron.export.nwb_about.read_about`.
    force : bool
        Replace files that are there, if dj-neuron wrote them.
    progress : callable, optional
        Called with every file when it is complete.

    Returns
    -------
    list of Path
        The files, in the order of the sessions.

    Raises
    ------
    ExportError
        If PyNWB is not installed, a file is there, or no session meets `restriction`; nothing is written then. If a
        file cannot be written; those before it are complete then.
    PipelineError
        If `restriction` is no condition on sessions.
    """
    try:
        import pynwb  # noqa: F401, PLC0415 - two seconds that only this is worth
    except ImportError as error:
        raise ExportError(
            f"writing NWB needs the package {error.name}, expected it installed: pip install 'dj-neuron[nwb]'"
        ) from error
    files = {folder / _file_name(key): key for key in queries.session_keys(restriction)}
    if not files:
        raise ExportError("no session meets the condition, expected at least one to write")
    if is_there(folder):
        refuse_existing(*files, force=force)
    folder.mkdir(parents=True, exist_ok=True)
    for path, key in files.items():
        with whole_file(path) as partial:
            _write(partial, key, about or About())
        if progress:
            progress(path)
    return list(files)


def _file_name(key: Row) -> str:
    """Name a file as archives of NWB do; a name of other characters, or too long, gets a checksum, to be unique."""
    subject = shortened(re.sub(r"\W+", "-", key["subject_name"]).strip("-"))
    if subject != key["subject_name"]:
        subject += "-" * bool(subject) + hashlib.sha256(key["subject_name"].encode()).hexdigest()[:6]
    return f"sub-{subject}_ses-{_session_id(key)}.nwb"


def _session_id(key: Row) -> str:
    return f"{day(key['session_date'])}-sample{key['sample_number']}"


def _write(path: Path, key: Row, about: About) -> None:
    from pynwb import NWBHDF5IO  # noqa: PLC0415

    from dj_neuron.export import nwb_recording, nwb_results  # noqa: PLC0415

    session = queries.session(key)
    file = _file_of(session, key, about)
    module = file.create_processing_module("dj_neuron", f"Written by dj-neuron {__version__} from its pipeline.")
    module.add(_session_table(session))
    placed = nwb_recording.place(session)
    for one in placed:
        file.add_stimulus(nwb_recording.stimulus(one))
    if placed:
        module.add(nwb_recording.stimulations_table(placed))
    file.units = nwb_recording.units(session, placed, about.resolution_s)
    found = list(queries.estimations(key))
    if found:
        module.add(nwb_results.estimations_table(found))
        for estimation in found:
            module.add(nwb_results.strf_table(estimation, file.units))
        rows, own = queries.neuron_table(key), [one for one in queries.neuron_columns() if one.name not in key]
        module.add(nwb_results.measures_table(own, rows, file.units))
        module.add(nwb_results.computations_table(queries.computations(key)))
    with new_hdf5_file(path) as hdf5, NWBHDF5IO(file=hdf5, mode="w") as io:
        io.write(file)


def _file_of(session: Session, key: Row, about: About) -> Any:
    from pynwb import NWBFile  # noqa: PLC0415
    from pynwb.file import Subject  # noqa: PLC0415

    n_shown, n_neurons = len(session.stimulations), len(session.neuron_labels)
    own = {"sex": "U"} | ({"species": session.species} if session.species else {})
    return NWBFile(
        session_description=(
            f"{session}: white-noise stimulation of the retina, {n_shown} stimulation(s), {n_neurons} neuron(s). The "
            "time of day is not known: session_start_time is the midnight before, UTC."
        ),
        identifier=str(uuid.uuid5(_NAMESPACE, f"{session} {session.source.sha256}")),
        session_id=_session_id(key),
        session_start_time=datetime.combine(session.session_date, time(), UTC),
        notes=session.note or None,
        was_generated_by=[["dj-neuron", __version__]],
        subject=Subject(
            subject_id=re.sub(r"[/\\]", "-", session.subject_name),
            description=session.subject_description or f"Animal or animal line: {session.subject_name}",
            **(own | about.subject),
        ),
        **about.file,
    )


def _session_table(session: Session) -> Any:
    from hdmf.common import DynamicTable  # noqa: PLC0415

    from dj_neuron.export.nwb_columns import column  # noqa: PLC0415

    source = session.source
    return DynamicTable(
        name="dj_neuron_session",
        description="The session as the pipeline knows it, and the file that it was read from.",
        columns=[
            column(name, meaning, [value])
            for name, meaning, value in (
                ("subject_name", "animal or animal line", session.subject_name),
                ("species", "Latin name, empty where it is not known", session.species),
                ("subject_description", "description of the animal", session.subject_description),
                ("session_date", "day of the recording", session.session_date.isoformat()),
                ("sample_number", "piece of retina recorded that day", session.sample_number),
                ("source_file", "name of the file it was read from", source.file_name),
                ("source_sha256", "sha256 of that file", source.sha256),
                ("reader", "what read it", source.reader),
                ("note", "note on the session", session.note),
            )
        ],
    )
