"""What protects the reader's browser: headers, and refusing names that are not this server's."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from flask import Response, abort, request

if TYPE_CHECKING:
    from dash import Dash

MAX_REQUEST_BYTES = 1 << 20
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "[::1]"}


def guard(app: Dash, host: str) -> None:
    """Add security headers to every answer; on a loopback address, answer to loopback names only.

    A page elsewhere could otherwise point a name of its own at this machine and read what is served here.
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

    @server.before_request  # type: ignore[untyped-decorator]
    def refuse_foreign_names() -> None:
        if _is_loopback(host) and request.host.rpartition(":")[0] not in _LOOPBACK_NAMES:
            name = request.host.removesuffix(":80")
            if name not in _LOOPBACK_NAMES:
                abort(400, "this server answers to localhost only")

    @server.after_request  # type: ignore[untyped-decorator]
    def add_headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
