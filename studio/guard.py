"""Only this computer's own page may talk to the studio.

Gradio's strict_cors guards only its own mounted app. A web page elsewhere could otherwise reach 127.0.0.1 through the
person's browser: by a form (checked by Origin), by an image tag (Sec-Fetch-Site) or by a name that it points at
127.0.0.1 (DNS rebinding, checked by Host).
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NAMES = ("127.0.0.1", "localhost")
_LARGEST_BODY = 16 * 2**20  # bytes
# Everything comes from the studio itself. Gradio builds its templates with Function and inline styles.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-ancestors 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)


class Guard:
    """ASGI middleware. Refuses other hosts, other origins and large bodies; adds a content security policy."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        problem = refusal(scope["method"], scope["path"], Headers(scope=scope), scope["server"][1] if scope.get("server") else None)
        if problem:
            await JSONResponse({"error": problem, "field": None}, status_code=403)(scope, receive, send)
            return

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", _POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"same-origin"),
                ]
            await send(message)

        await self.app(scope, receive, with_policy)


def refusal(method: str, path: str, headers: Headers, port: int | None) -> str | None:
    """Why a request is refused, or None."""
    hosts = {f"{name}:{port}" for name in _NAMES} | (set(_NAMES) if port == 80 else set())
    host = headers.get("host", "")
    if host not in hosts:
        return "The studio answers only to localhost. Open the address it printed."
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return "Another page may not use the studio. Open the address it printed."
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
        return "Another page may not use the studio. Open the address it printed."
    if method not in ("GET", "HEAD") and path.startswith("/api/") and origin is None:
        return "A change needs an Origin header of the studio's own page."
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > _LARGEST_BODY:
        return f"The request is larger than {_LARGEST_BODY // 2**20} MB."
    return None
