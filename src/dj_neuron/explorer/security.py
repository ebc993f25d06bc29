"""What protects the reader's browser: headers, and refusing names that are not this server's."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any

from flask import Response, abort, request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dash import Dash

MAX_REQUEST_BYTES = 1 << 20


def guard(app: Dash, names: Iterable[str] = ()) -> None:
    """Add security headers to every answer, and answer only to who asks for this server by a name of its own.

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
