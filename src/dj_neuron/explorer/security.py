"""What protects the reader's browser, and this server: headers, and refusing foreign names and malformed requests."""

from __future__ import annotations

import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Any

from dash.exceptions import DependencyException
from flask import Response, abort, request
from werkzeug.exceptions import BadRequest, NotFound

from dj_neuron.explorer.posted import PostedError, check_posted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dash import Dash

MAX_REQUEST_BYTES = 1 << 20
_log = logging.getLogger(__name__)


def guard(app: Dash, names: Iterable[str] = ()) -> None:
    """Add security headers to every answer, and answer only who asks by a name of this server's and as its pages do.

    Parameters
    ----------
    app : Dash
        The application.
    names : iterable of str
        What else this server is called, such as by a proxy; see :func:`is_own`.

    Notes
    -----
    A page elsewhere could otherwise point a name of its own at this machine, and read what is served here as if it
    were its own (DNS rebinding). It cannot do so with an address: nobody can make an address lead elsewhere.
    """
    server: Any = app.server
    server.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    scripts = " ".join(app.csp_hashes())
    policy = "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {scripts}",
            "style-src 'self' 'unsafe-inline'",  # Plotly writes its styles into the page
            "img-src 'self' data: blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
    own = own_names() | {_normal(name) for name in names}

    @server.before_request  # type: ignore[untyped-decorator]
    def refuse_foreign_names() -> None:
        if not is_own(request.host, own):
            abort(400, "this server answers to addresses and to its own names only; --allow-host adds a name")

    @server.before_request  # type: ignore[untyped-decorator]
    def refuse_what_no_page_posts() -> None:
        if request.endpoint == "/_dash-update-component":
            try:
                check_posted(request.get_json(), app.callback_map)
            except RecursionError:
                raise PostedError("JSON was posted that is nested too deeply") from None

    @server.errorhandler(PostedError)  # type: ignore[untyped-decorator]
    def say_what_was_posted(error: PostedError) -> Any:
        _log.warning("a request was refused: %s", error)
        return BadRequest(str(error))

    @server.errorhandler(DependencyException)  # type: ignore[untyped-decorator]
    def say_there_is_no_script(_: DependencyException) -> Any:
        _log.warning("a request was refused: there is no script %r", request.path)
        return NotFound("there is no such script")

    @server.after_request  # type: ignore[untyped-decorator]
    def add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


def own_names() -> frozenset[str]:
    """Give the names by which this machine knows itself; no server of names is asked, which somebody else may own."""
    whole = _normal(socket.gethostname())
    return frozenset({"localhost", whole, whole.partition(".")[0]})


def is_own(host: str, names: Iterable[str]) -> bool:
    """Whether the ``Host`` of a request, perhaps with a port, is an address or one of `names`."""
    bracketed, end, port = host.removeprefix("[").partition("]")
    name = bracketed if host.startswith("[") and end and port[:1] in {"", ":"} else _normal(host.partition(":")[0])
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return bool(name) and name in names
    return True


def _normal(name: str) -> str:
    return name.lower().removesuffix(".")
