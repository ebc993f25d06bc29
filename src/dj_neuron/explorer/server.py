"""Serving the explorer: a production server, one process, several threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dj_neuron.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Bounds on what clients can make this process and the database do, however many they are and however fast they ask:
# eight requests are at work, each on one connection to the database; a connection waits with its next request for the
# answer to the one before; whoever comes past the last connection waits outside until an idle one is closed.
N_THREADS = 8
N_CONNECTIONS = 100
_IDLE_S, _CLEANING_S = 20, 5
_MAX_HEADER_BYTES = 1 << 16


def serve(
    description: str, host: str, port: int, *, names: Iterable[str] = (), ready: Callable[[str], None] | None = None
) -> None:
    """Serve pages until the process is told to end.

    Parameters
    ----------
    description : str
        The database in words.
    host, port
        Where to listen; port 0 takes a free one.
    names : iterable of str
        By which other names this server is asked for; those of its machine, and addresses, it knows.
    ready : callable, optional
        Called with the address when it can be opened.

    Raises
    ------
    PipelineError
        If the extra ``explorer`` is not installed, or the address cannot be listened on.
    """
    try:
        import dash  # noqa: F401, PLC0415
        from waitress.server import create_server  # noqa: PLC0415
    except ImportError as error:
        raise PipelineError(
            f"the explorer needs the package {error.name}, expected it installed: pip install 'dj-neuron[explorer]'"
        ) from error
    from dj_neuron.explorer.app import create_app  # noqa: PLC0415
    from dj_neuron.explorer.security import MAX_REQUEST_BYTES, guard  # noqa: PLC0415

    app = create_app(description)
    guard(app, [host, *names])
    try:
        server = create_server(
            app.server, host=host, port=port, threads=N_THREADS, ident="", connection_limit=N_CONNECTIONS,
            channel_timeout=_IDLE_S, cleanup_interval=_CLEANING_S, max_request_header_size=_MAX_HEADER_BYTES,
            max_request_body_size=MAX_REQUEST_BYTES,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise PipelineError(f"the explorer cannot listen on {host} port {port}: {error}") from error
    try:
        if ready:
            shown = f"[{host}]" if ":" in host else host
            ready(f"http://{shown}:{server.effective_port}/")
        # a signal's exception ends the loop: waitress lets running requests finish
        server.run()
    finally:
        server.close()
