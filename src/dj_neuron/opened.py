"""The open pipeline as one object: ingest, compute, look."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dj_neuron import computing, ingest, ingest_files, pipeline, queries
from dj_neuron._datajoint import dj
from dj_neuron.contracts.notebook import card, listing
from dj_neuron.errors import PipelineError
from dj_neuron.inventory import OLD_S, Inventory, Orphan, clean, take_inventory
from dj_neuron.jobs import Display, PatientConnection
from dj_neuron.pipeline.ownership import confirm_ownership
from dj_neuron.strf import use_threads
from dj_neuron.thread_connections import ThreadConnections

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from types import ModuleType

    from dj_neuron.computing import ComputeReport, DelayRange
    from dj_neuron.contracts import ReceptiveFieldResult, Session, Strf
    from dj_neuron.database import Database
    from dj_neuron.ingest import IngestReport
    from dj_neuron.jobs import Outcome
    from dj_neuron.strf.frame_clock import FrameRule


class Pipeline:
    """An open pipeline; get one from :func:`~dj_neuron.connect`, close it or use it in a ``with`` statement.

    One process works with one pipeline at a time: :func:`~dj_neuron.connect` closes the one before.
    """

    _current: Pipeline | None = None

    def __init__(self, database: Database) -> None:
        self._database = database
        pipeline.activate(database.connection, database.prefix)
        Pipeline._current = self

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the last process to do so stops the embedded server."""
        if Pipeline._current is self:
            Pipeline._current = None
        self._database.close()

    def _check_open(self) -> None:
        if Pipeline._current is not self:
            raise PipelineError(f"this pipeline ({self._database.description}) was closed, or another one was opened")

    @property
    def database(self) -> Database:
        """The database behind the tables."""
        self._check_open()
        return self._database

    @property
    def experiment(self) -> ModuleType:
        """The tables of what was recorded."""
        self._check_open()
        return pipeline.experiment

    @property
    def strf(self) -> ModuleType:
        """The tables of parameters and estimates."""
        self._check_open()
        return pipeline.strf

    @property
    def receptive_field(self) -> ModuleType:
        """The tables of tests, receptive fields and mosaics."""
        self._check_open()
        return pipeline.receptive_field

    @property
    def covariance(self) -> ModuleType:
        """The tables of the spike-triggered covariance."""
        self._check_open()
        return pipeline.covariance

    @property
    def quality(self) -> ModuleType:
        """The tables of predictions and of the sufficiency of data."""
        self._check_open()
        return pipeline.quality

    def ingest(
        self,
        path: Path | str,
        *,
        reader: str | None = None,
        progress: Callable[[IngestReport], None] | None = None,
    ) -> list[IngestReport]:
        """Read a file and insert its sessions, one transaction each, once all of it was read.

        Parameters
        ----------
        path : Path or str
            A ret-1 pickle, an NWB file, a recording folder, a folder of these, or what another installed reader takes.
        reader : str, optional
            Name of the reader; default: the one that recognises the file.
        progress : callable, optional
            Called with each session's report.

        Raises
        ------
        ReadError, ConflictError, ContractError
            One sentence; nothing of the file is written.
        StoreError
            If the store keeps arrays of another database under this prefix.
        """
        self._check_open()
        confirm_ownership()
        return self._reported(ingest_files.ingest_file(Path(path), reader), progress)

    def check(self, *paths: Path | str, reader: str | None = None, compute: Mapping[str, Any] | None = None) -> None:
        """Read files and write nothing.

        Parameters
        ----------
        *paths, reader
            As for :meth:`ingest`.
        compute : mapping of str to value, optional
            Delays and rules as :meth:`compute` takes them, such as ``{"delays_s": 0.1}``, that are to be computed then.

        Raises
        ------
        ReadError, ContractError
            If :meth:`ingest` would refuse a file whatever the pipeline holds.
        ConflictError
            If two sessions contradict each other, in one file or in two.
        PipelineError
            If the delays and rules contradict themselves, or cannot be computed of a stimulation in the files.
        """
        self._check_open()
        asked = None if compute is None else computing.Asked.from_arguments(**compute)
        ingest_files.check_files(map(Path, paths), reader, *([] if asked is None else [asked.check_session]))

    def ingest_sessions(
        self,
        sessions: Iterable[Session],
        *,
        progress: Callable[[IngestReport], None] | None = None,
    ) -> list[IngestReport]:
        """Insert sessions that were made in Python, one transaction each.

        Parameters
        ----------
        sessions : iterable of Session
            Such as one with spikes from a sorter; see :mod:`dj_neuron.readers.spike_objects`.
        progress : callable, optional
            Called with each session's report.

        Raises
        ------
        ConflictError, ContractError
            One sentence; the session at fault and those after it are not written.
        StoreError
            As :meth:`ingest`.
        """
        self._check_open()
        confirm_ownership()
        return self._reported(ingest.ingest(sessions), progress)

    def _reported(
        self, ingested: Iterable[IngestReport], progress: Callable[[IngestReport], None] | None
    ) -> list[IngestReport]:
        reports = []
        for report in ingested:
            reports.append(report)
            if progress:
                progress(report)
        return reports

    def compute(
        self,
        delays_s: float | DelayRange | Iterable[float | DelayRange] = (),
        *,
        estimator: Literal["sta", "ridge"] = "sta",
        frame_rule: FrameRule = "floor",
        centre: bool = True,
        min_spikes: int = 1,
        replace: bool = False,
        queue: bool = False,
        judge: bool = True,
        show_progress: bool = False,
    ) -> ComputeReport:
        """Register delays and populate whatever is missing, for these and all registered delays.

        STRFs come first, then what is judged by averages: significance, receptive fields, mosaics, covariance, held-out
        prediction and sufficiency of data.

        Parameters
        ----------
        delays_s : float, DelayRange, or several of them
            Each becomes one parameter row, unless it is there already.
        estimator : {"sta", "ridge"}
            Spike-triggered average, or ridge regression on all delays of a range at once, its strength cross-validated:
            for short recordings and correlated movies; see :func:`dj_neuron.strf.ridge_strf`.
        frame_rule, centre, min_spikes
            See :func:`dj_neuron.strf.spike_triggered_average`; `min_spikes` from 1.
        replace : bool
            Remove all other parameter rows and what was computed from them, so that only `delays_s` remain.
        queue : bool
            Only register; workers do the work (:meth:`work`), or whoever calls compute next.
        judge : bool
            Otherwise stop after the STRFs.
        show_progress : bool
            Show how far each table is on standard error: bars on a terminal, else lines.

        Returns
        -------
        ComputeReport
            Counts per table; one line per key that failed.

        Raises
        ------
        PipelineError
            If delays or rules are not such as are known, or contradict themselves; if there are rules other than the
            usual without delays; or if `replace` would remove what was computed of a stimulation of which the new
            cannot be computed. Nothing is registered or removed then.

        Notes
        -----
        Keys are reserved as those of :meth:`work` are: any number of processes may compute at once, and this returns
        when nothing is left to any of them. Keys that failed before are taken up again.
        """
        self._check_open()
        asked = computing.Asked.from_arguments(
            delays_s, estimator=estimator, frame_rule=frame_rule, centre=centre, min_spikes=min_spikes
        )
        confirm_ownership()
        n_removed = computing.register(asked, replace=replace, judge=judge)
        if queue:
            return computing.ComputeReport({}, computing.n_estimations(), n_removed, ())
        arguments = (self._database.connection, self._database.prefix, n_removed)
        if not show_progress:
            return computing.populate(*arguments, judge=judge, report=lambda _: None)
        with Display(self.progress) as display:
            display.report(None)
            return computing.populate(*arguments, judge=judge, report=display.report)

    def work(
        self,
        *,
        forever: bool = False,
        retry: bool = False,
        n_threads: int | None = None,
        stop: Callable[[], bool] = lambda: False,
        report: Callable[[Outcome | None], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Compute what is registered beside any number of other workers, until nothing is left; then close.

        Parameters
        ----------
        forever : bool
            Wait for more instead of returning.
        retry : bool
            First take up keys again that failed.
        n_threads : int, optional
            Threads of the numerics at most; default: one per core.
        stop : callable
            Asked between keys; when it gives true, no further one is begun.
        report : callable
            Called with what became of every key, and with None at the beginning and while waiting for others.
        say : callable
            Called with a line when the database goes away and when it is back: a worker waits for it.

        Notes
        -----
        Which keys are computed and by whom: docs/explanation/workers.md.
        """
        with self.patiently(stop, say) as connection:
            use_threads(n_threads)
            try:
                confirm_ownership()
                worker = computing.worker(connection, self._database.prefix, stop=stop, report=report)
                report(None)
                if retry:
                    worker.retry()
                worker.run(forever=forever)
            finally:
                use_threads(None)

    @contextlib.contextmanager
    def patiently(self, stop: Callable[[], bool], say: Callable[[str], None]) -> Iterator[PatientConnection]:
        """Bind the tables to a connection that outlives restarts of the server; close everything in the end.

        Parameters
        ----------
        stop : callable
            When it gives true, the server is no longer waited for.
        say : callable
            Called with a line when the database goes away and when it is back.
        """
        self._check_open()
        model = self._database.connection
        try:
            connection = PatientConnection.like(model, stop, say)
            try:
                pipeline.activate(connection, self._database.prefix)
                model.close()
                yield connection
            finally:
                with contextlib.suppress(Exception):  # the server may be away
                    connection.close()
        finally:
            self.close()

    def strfs(self, restriction: Any = True, *, combine: bool = True, **key: Any) -> list[Strf]:
        """Load STRFs as contracts.

        Parameters
        ----------
        restriction
            Anything DataJoint takes.
        combine : bool
            One STRF per neuron and stimulation with the delays of all parameter rows that agree in their rules;
            otherwise one per parameter row.
        **key
            Restrict by value, such as ``neuron_id=3`` or ``subject_name="WT"``.
        """
        self._check_open()
        return list(queries.strfs(dj.AndList([restriction, key]), combine=combine))

    def receptive_fields(self, restriction: Any = True, **key: Any) -> list[ReceptiveFieldResult]:
        """Load receptive fields as contracts; see :func:`dj_neuron.queries.receptive_fields`.

        Parameters
        ----------
        restriction
            Anything DataJoint takes, on stimulations, neurons, parameters and peaks.
        **key
            Restrict by value, such as ``neuron_id=3`` or ``subject_name="WT"``.
        """
        self._check_open()
        return list(queries.receptive_fields(dj.AndList([restriction, key])))

    def figures(
        self,
        out_dir: Path | str,
        *,
        n_best: int = 1,
        neuron_ids: Collection[int] = (),
        restriction: Any = True,
        formats: Collection[str] = ("png",),
        progress: Callable[[str], None] | None = None,
    ) -> list[Path]:
        """Draw every picture and a report into a clean folder; see ``dj_neuron.figures.gallery``."""
        self._check_open()
        # matplotlib is a second of import time that only pictures are worth
        from dj_neuron.figures.gallery import draw_gallery  # noqa: PLC0415

        return draw_gallery(
            out_dir, n_best=n_best, neuron_ids=neuron_ids, restriction=restriction, formats=formats,
            database=self._database.description, progress=progress,
        )  # fmt: skip

    def explore(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        names: Iterable[str] = (),
        ready: Callable[[str], None] | None = None,
    ) -> None:
        """Serve the pipeline as pages for a browser, read-only, until the process is told to end; then close it.

        Parameters
        ----------
        host, port
            Where to listen; port 0 takes a free one.
        names : iterable of str
            By which other names browsers ask for this server, such as a proxy's. Addresses and this machine's own names
            need not be given; any other is refused.
        ready : callable, optional
            Called with the address when it can be opened.

        Raises
        ------
        PipelineError
            If the packages of the extra ``explorer`` are not installed, or the address cannot be listened on.
        """
        self._check_open()
        # Dash is another second of import time
        from dj_neuron.explorer.server import serve  # noqa: PLC0415

        connections = ThreadConnections(self._database.connection, self._database.description)
        pipeline.activate(connections, self._database.prefix)
        self._database.connection.close()
        try:
            queries.load_headings()
            serve(self._database.description, host, port, names=names, ready=ready)
        finally:
            connections.close()
            self.close()

    def progress(self) -> dict[str, dict[str, int]]:
        """Give ``done`` and ``total`` of every computed table."""
        self._check_open()
        return queries.progress()

    def status(self, *, all_jobs: bool = False) -> dict[str, Any]:
        """Give counts, and per computed table how much of it is done, who is at it, and what failed.

        Parameters
        ----------
        all_jobs : bool
            Give every reserved and failed key, not only the first ones of each table.
        """
        self._check_open()
        return {
            "database": self._database.description,
            "prefix": self._database.prefix,
            **queries.counts(),
            "computed": queries.progress(),
            "jobs": [asdict(jobs) for jobs in queries.open_jobs(None if all_jobs else 5)],
        }

    def inventory(self, *, is_read: bool = True, progress: Callable[[str], None] | None = None) -> Inventory:
        """Compare the store with the tables; see :func:`dj_neuron.inventory.take_inventory`."""
        self._check_open()
        return take_inventory(is_read=is_read, progress=progress)

    def clean(self, *, older_than_s: float = OLD_S, delete: bool = False) -> list[Orphan]:
        """Find, or remove, old objects of the store without rows; see :func:`dj_neuron.inventory.clean`."""
        self._check_open()
        return clean(older_than_s=older_than_s, delete=delete)

    def clear(self) -> None:
        """Delete all tables of this prefix with everything they hold, and start with empty ones."""
        self._check_open()
        pipeline.drop(self._database.connection, self._database.prefix)
        pipeline.activate(self._database.connection, self._database.prefix)

    def _repr_html_(self) -> str:
        if Pipeline._current is not self:
            return card("Pipeline, closed", [("database", self._database.description)])
        found = self.status()
        computed, _ = found.pop("computed"), found.pop("jobs")
        facts = [
            (name.replace("_", " "), f"{value:,}" if isinstance(value, int) else value) for name, value in found.items()
        ]
        rows = [(table, f"{progress['done']:,} of {progress['total']:,}") for table, progress in computed.items()]
        return card("Pipeline", facts, more=listing(("computed table", "done"), rows, "computed tables"))

    def __repr__(self) -> str:
        return f"Pipeline({self._database.description}, prefix {self._database.prefix!r})"


def close_current() -> None:
    """Close the pipeline that is open in this process, if one is."""
    if Pipeline._current is not None:
        Pipeline._current.close()
