"""Try the reward: pictures go as they come to a process of its own, which scores them and ends. Nothing is kept."""

from __future__ import annotations

import atexit
import json
import os
import secrets
import struct
import subprocess
import sys
import threading
import time
from typing import Any

from core.config import ROOT, build
from core.errors import UserError

SCORING = [sys.executable, "-m", "core.trying"]
MOST = 64  # pictures; core.trying, which imports what the studio must not, refuses more as well
LARGEST = 10 * 2**20  # bytes of a picture's file
_OPEN = 3  # at a time
_FORGOTTEN = 120  # seconds without a sign after which a person has gone
_PATIENCE = 180  # seconds for loading and scoring
_lock = threading.Lock()
_open: dict[str, "Try"] = {}


class Try:
    """One process that waits for pictures."""

    def __init__(self, config: dict[str, Any], prompt: str):
        asked = json.dumps({"config": build(config).placed().model_dump(mode="json"), "prompt": prompt})
        offline = {**os.environ, "HF_HUB_OFFLINE": "1"}  # nothing is fetched without being asked for
        self.process = subprocess.Popen(SCORING, cwd=ROOT, env=offline, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.count, self.seen = 0, time.monotonic()
        self.lock = threading.Lock()
        self._write(asked.encode() + b"\n")

    def add(self, data: bytes) -> None:
        with self.lock:
            if self.count == MOST:
                raise UserError(f"At most {MOST} pictures at a time.", "pictures")
            self._write(struct.pack(">I", len(data)) + data)
            self.count += 1

    def scores(self) -> dict[str, Any]:
        """What core.trying answers. Raises UserError with its sentence."""
        try:
            with self.lock:
                out, _ = self.process.communicate(struct.pack(">I", 0), timeout=_PATIENCE)
            told = json.loads(out.decode().splitlines()[-1])
        except subprocess.TimeoutExpired:
            raise UserError(f"Scoring took longer than {_PATIENCE} s and was ended. Try fewer pictures.", "pictures") from None
        except (ValueError, IndexError, OSError):
            raise UserError("Scoring stopped by itself. Try once more, with fewer pictures.", "pictures") from None
        finally:
            self.end()
        if "error" in told:
            raise UserError(told["error"], told.get("field"))
        return told

    def _write(self, data: bytes) -> None:
        self.seen = time.monotonic()
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except OSError:  # it has ended; `scores` tells why
            pass

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def begin(config: dict[str, Any], prompt: str) -> str:
    """A new try; its id. Raises UserError for wrong settings, or if too many are open."""
    with _lock:
        for name, one in list(_open.items()):
            if time.monotonic() - one.seen > _FORGOTTEN:
                _open.pop(name).end()
        if len(_open) >= _OPEN:
            raise UserError("Other pictures are being scored. Wait for them.", "pictures")
        name = secrets.token_hex(8)
        _open[name] = Try(config, prompt)
    return name


def add(name: str, data: bytes) -> int:
    """Hand over one picture's file; how many there are. Raises UserError."""
    if not data or len(data) > LARGEST:
        raise UserError(f"A picture has {len(data) / 2**20:.1f} MB. Use files of up to {LARGEST // 2**20} MB.", "pictures")
    one = _find(name)
    one.add(data)
    return one.count


def scores(name: str) -> dict[str, Any]:
    """End the try and say how the pictures scored. Raises UserError."""
    one = _find(name)
    with _lock:
        _open.pop(name, None)
    return one.scores()


def _find(name: str) -> Try:
    try:
        return _open[name]
    except KeyError:
        raise UserError("These pictures were let go. Drop them again.", "pictures") from None


@atexit.register
def _end_all() -> None:
    for one in _open.values():
        one.end()
