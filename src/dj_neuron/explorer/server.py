"""Serving the explorer: a production server, one process, several threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dj_neuron.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Bounds on what clients can make this process and the database do, however many they are and however fast they ask:
# eight requests are at work, each on one connection to the database; a connection waits with its next request for the
# answer to the one before; whoever comes past the last connection takes the place of who let it wait longest.
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
        import waitress  # noqa: F401, PLC0415
    except ImportError as error:
        raise PipelineError(
            f"the explorer needs the package {error.name}, expected it installed: pip install 'dj-neuron[explorer]'"
        ) from error
    from dj_neuron.explorer.app import create_app  # noqa: PLC0415
    from dj_neuron.explorer.security import guard  # noqa: PLC0415

    app = create_app(description)
    guard(app, [host, *names])
    server = listen(app.server, host, port)
    try:
        if ready:
            shown = f"[{host}]" if ":" in host else host
            ready(f"http://{shown}:{port_of(server)}/")
        # a signal's exception ends the loop: waitress lets running requests finish
        server.run()
    finally:
        server.close()


def listen(app: Any, host: str, port: int) -> Any:
    """Make a server of a WSGI application, within the bounds above.

    Raises
    ------
    PipelineError
        If the address cannot be listened on.
    """
    from waitress.server import TcpWSGIServer, create_server  # noqa: PLC0415

    from dj_neuron.explorer.channel import TimedChannel  # noqa: PLC0415
    from dj_neuron.explorer.security import MAX_REQUEST_BYTES  # noqa: PLC0415

    sockets: dict[int, Any] = {}
    try:
        server = create_server(
            app, map=sockets, host=host, port=port, threads=N_THREADS, ident="", connection_limit=N_CONNECTIONS,
            channel_timeout=_IDLE_S, cleanup_interval=_CLEANING_S, max_request_header_size=_MAX_HEADER_BYTES,
            max_request_body_size=MAX_REQUEST_BYTES,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise PipelineError(f"the explorer cannot listen on {host} port {port}: {error}") from error
    # a name may stand for several addresses, each with a server of its own
    for one in sockets.values():
        if isinstance(one, TcpWSGIServer):
            one.channel_class = TimedChannel
    return server


def port_of(server: Any) -> int:
    """Give the port of a server; of one on several addresses, that of the first."""
    return int(server.effective_listen[0][1] if hasattr(server, "effective_listen") else server.effective_port)
