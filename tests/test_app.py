"""Starting the studio: the page opens by itself."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import app


class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_the_page_opens_also_where_a_proxy_is_set(monkeypatch):
    """A proxy of the person's own cannot reach the port on this computer."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    opened = []
    monkeypatch.setattr(app.webbrowser, "open", opened.append)
    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        app.open_when_ready(url)
        server.shutdown()
    assert opened == [url]
