"""The studio's own lines in the head of Gradio's page.

Gradio adds its `head` argument by script, after its own 1 MB has run: the page would first show in the wrong theme and
without the studio's styles. So the lines are written into the HTML itself.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import static_files

STYLES = ("tokens", "controls", "shell", "setup", "live", "schedule", "compare", "runs", "lesson", "narrow", "forced")
HEAD = """
<script>document.documentElement.dataset.theme = localStorage.getItem('manymodes.theme')
  || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')</script>
<link rel="preload" href="/studio/fonts/Inter-400.woff2" as="font" type="font/woff2" crossorigin>
"""


def head() -> str:
    """HEAD, the styles and the script, by the version that the files have now."""
    place = f"{static_files.URL}/{static_files.version()}"
    styles = "".join(f'<link rel="stylesheet" href="{place}/{name}.css">\n' for name in STYLES)
    return f'{HEAD}{styles}<script type="module" src="{place}/manymodes.js"></script>\n'


class OwnHead:
    """ASGI middleware: puts the studio's lines before the end of the head of the page at /."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        # a compressed page could not be edited
        plain = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]}
        start: Message = {}
        body = b""

        async def edited(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            if message["type"] != "http.response.body":
                await send(message)
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = body.replace(b"</head>", head().encode() + b"</head>", 1)
            headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
            await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
            await send({"type": "http.response.body", "body": body})

        await self.app(plain, receive, edited)
