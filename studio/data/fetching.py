"""Models from the hub: asked about and fetched by a process of its own, which only a person's press of a button starts.

What is under way is kept here, so that a page that is loaded again finds it. Broken off, also by the end of the studio, it
goes on from what came so far.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
import time
from collections import deque
from typing import Any

from core import places
from core.config import ROOT
from core.errors import UserError

FETCHING = [sys.executable, "-m", "core.fetching"]
FIELDS = ("model", "clip_model")
_KEPT = 20  # names that something is known of
_SPAN = 8.0  # seconds over which the speed is measured
_lock = threading.Lock()
_known: dict[tuple[str, str], "Fetch"] = {}


class Fetch:
    """What is known of one name of the hub, and the process that asks or fetches, if one is at work."""

    def __init__(self, field: str, name: str):
        self.field, self.name = field, name
        self.at_work, self.error, self.doing = "", "", ""  # at_work: "", "ask" or "get"
        self.offer: dict[str, Any] | None = None
        self.done = False
        self.process: subprocess.Popen | None = None
        self._came: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    def begin(self, what: str) -> None:
        """Start to "ask" or to "get", unless one of them is under way."""
        with self._lock:
            if self.at_work:
                return
            self.at_work, self.error, self.doing, self.done = what, "", "", False
            self._came.clear()
            try:
                self.process = subprocess.Popen(
                    [*FETCHING, what, self.field, self.name], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
                )
            except OSError as error:
                self.at_work, self.error = "", f"It could not be started ({error.strerror})."
                return
            threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()

    def stop(self) -> None:
        """End the process; what came so far is kept."""
        with self._lock:
            process, self.process, self.at_work, self.doing = self.process, None, "", ""
            if process is not None and process.poll() is None:
                process.terminate()
        if process is not None:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:  # it hangs in the network
                process.kill()

    def _listen(self, process: subprocess.Popen) -> None:
        ended = False
        with process:
            for line in process.stdout:
                try:
                    told = json.loads(line)
                except ValueError:
                    continue
                ended = ended or not told.keys().isdisjoint(("offer", "done", "error"))
                with self._lock:
                    if self.process is process:  # nobody stopped it
                        self._take(told)
        with self._lock:
            if self.process is process:
                self.process, self.at_work, self.doing = None, "", ""
                if not ended:
                    self.error = "It stopped by itself. Begin again: what came so far is kept."

    def _take(self, told: dict[str, Any]) -> None:
        self.offer = told.get("offer") or told.get("done") or self.offer
        self.done = "done" in told
        self.error = told.get("error", "").removeprefix(f"{self.field}: ")
        self.doing = told.get("doing", "")
        if "bytes" in told:
            now = time.monotonic()
            self._came.append((now, told["bytes"]))
            while now - self._came[0][0] > _SPAN:
                self._came.popleft()
            if self.offer is not None:
                self.offer = {**self.offer, "here": told["bytes"]}

    def told(self) -> dict[str, Any]:
        """{"at_work", "offer", "error", "doing", "done", "speed": bytes a second or None}."""
        came = list(self._came)
        span = came[-1][0] - came[0][0] if came else 0
        speed = (came[-1][1] - came[0][1]) / span if span > 1 else None
        return {"at_work": self.at_work, "offer": self.offer, "error": self.error, "doing": self.doing, "done": self.done, "speed": speed}


def find(field: str, name: str) -> Fetch:
    """What is known of `name` as the setting `field`. Raises UserError if it cannot be on the hub."""
    if field not in FIELDS:
        raise UserError(f"{places.quoted(field)} is nothing to fetch.", "model")
    if not places.is_hub_name(name) or places.folder(name):
        raise UserError(f"{places.quoted(name)} is not a name on the hub. Write owner/name.", field)
    with _lock:
        for key in [k for k, one in _known.items() if not one.at_work and k != (field, name)][: max(0, len(_known) - _KEPT)]:
            del _known[key]
        return _known.setdefault((field, name), Fetch(field, name))


@atexit.register
def _end_all() -> None:
    for one in list(_known.values()):
        one.stop()
