"""Start the studio: `python app.py`, then look at the page that opens."""

from __future__ import annotations

import argparse
import socket
import sys
import threading
import urllib.request
import webbrowser
from pathlib import Path

from core.config import ROOT

HOST = "127.0.0.1"
TRIED_PORTS = 20


def free_port(wanted: int) -> int:
    """`wanted`, or the next one that nobody uses. Raises OSError if 20 in a row are taken."""
    for port in range(wanted, min(wanted + TRIED_PORTS, 65536)):
        with socket.socket() as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                return port
            except OSError:
                continue
    raise OSError(f"ports {wanted} to {wanted + TRIED_PORTS - 1} are all in use")


def open_when_ready(url: str) -> None:
    """Wait for the first answer, then show the page."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy knows nothing of this computer's own ports
    for _ in range(100):
        try:
            with direct.open(f"{url}/studio/ready", timeout=0.5):
                webbrowser.open(url)
                return
        except OSError:
            threading.Event().wait(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description="Manymodes Studio: watch a model lose its variety, and stop it.")
    parser.add_argument("--port", type=int, default=7860, help="port on this computer (default 7860; the next free one if it is taken)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder that holds the runs (default: runs)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    options = parser.parse_args()
    if not 1 <= options.port <= 65535:
        print(f"--port: {options.port} is no port. Use 1 to 65535.", file=sys.stderr)
        return 2
    try:
        port = free_port(options.port)
    except OSError as error:
        print(f"--port: {error}. Name another one, for example --port {max(1, (options.port + 1000) % 65535)}.", file=sys.stderr)
        return 2
    try:
        options.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"--runs: {options.runs} cannot be made ({error.strerror}). Name a folder that you may write to.", file=sys.stderr)
        return 2
    if port != options.port:
        print(f"Port {options.port} is in use; taking {port}.")
    url = f"http://{HOST}:{port}"
    print(f"Manymodes Studio: {url}  (Ctrl+C ends the studio; runs go on by themselves)", flush=True)

    import uvicorn

    from studio.shell import build

    if not options.no_browser:
        threading.Thread(target=open_when_ready, args=(url,), daemon=True).start()
    uvicorn.run(build(options.runs), host=HOST, port=port, log_level="warning", server_header=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
