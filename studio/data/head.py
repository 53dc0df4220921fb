"""The little that a watching page asks for once a second, and what it asks for once per run."""

from __future__ import annotations

import json
import os
import time
from statistics import median
from typing import Any

from core.alarms import HEALTHY
from core.config import LIVE, RunConfig
from core.plan import plan
from core.rewards.names import REGISTRY
from core.runs.database import ALIVE, Database
from core.runs.folder import Run

from . import remedy as remedies
from . import started, watched
from .history import finite, history
from .presets import describe
from .settings import settings
from .verdict import collapsing_below

WORDS = {
    "preparing": "Preparing",
    "running": "Running",
    "pausing": "Pausing",
    "paused": "Paused",
    "sampling": "Sampling",
    "stopping": "Stopping",
    "stopped": "Stopped",
    "finished": "Finished",
    "failed": "Failed",
    "died": "Failed",
    "silent": "Not answering",
    "queued": "Queued",
    "replay": "Replay",
}
_LOG_TAIL = 4000  # characters


def head(run: Run, db: Database) -> dict[str, Any]:
    """State, progress, times, memory, waiting commands and dials in force of `run`."""
    status = db.status()
    state = started.state(run, status)
    past = history(run, db)
    config = settings(run)
    recent = [r for r in past.rows[-10:] if r["iteration"] > 0]
    pace = median(r["duration"] for r in recent) if recent else None
    finished, of = status.get("iteration", 0), status.get("iterations") or config.iterations
    maps = db.row("SELECT max(id) AS newest FROM events WHERE kind = 'map'")
    message, remedy, details = _last_words(run, state, status)
    dials = dials_in_force(config, past.dials)
    return finite(
        {
            "name": run.name,
            "state": state,
            "word": WORDS.get(state, state),
            "alive": state in ALIVE or state == "silent",
            "watched": watched.holds(run),
            "message": message,
            "remedy": remedy,
            "details": details,
            "silent_for": round(time.time() - status.get("heartbeat", 0)),
            "iteration": finished,
            "iterations": of,
            "phase": status.get("phase", ""),
            "done": status.get("done", 0),
            "total": status.get("total", 0),
            "saved_at": status.get("saved_at", 0),
            "device": status.get("device", ""),
            "memory_used": status.get("memory_used", 0),
            "memory_total": status.get("memory_total", 0),
            "pace": pace,
            "phases": _mean_phases(recent),
            "left": pace * max(0, of - finished) if pace is not None else None,
            "epoch": past.epoch,
            "newest": past.rows[-1]["iteration"] if past.rows else -1,
            "maps": maps["newest"] or 0,
            "pictures": _pictures(db),
            "alarm": collapsing_below(config.alarm_warn),
            "healthy": HEALTHY,
            "verdict": past.rows[-1]["verdict"] if past.rows and recent else None,
            "alarms": past.alarms() if recent else [],
            "lines": {"warn": config.alarm_warn, "pause": config.alarm_pause},
            "narrowing": remedies.against_narrowing(run, past, config.model_copy(update=dials)) if recent else None,
            "failure": remedies.after_failure(run, db, state),
            "asked": _asked(db),
            "warnings": past.warnings[-3:],
            "branch": past.branch,
            "rollback": past.rollback if past.rollback and past.rollback["iteration"] > finished else None,
            "dials": dials,
            "turns": past.dials,
            "refused": _refused(db),
            "waiting": [{"id": i, "kind": kind, "changes": body.get("changes", {})} for i, kind, body in db.pending()],
        }
    )


def _pictures(db: Database) -> int:
    """The version of the run's pictures: when it was begun, or last went on and made some anew. In milliseconds since 1970."""
    began = db.row("SELECT max(time) AS time FROM events WHERE kind IN ('started', 'branch') OR kind = 'state' AND body LIKE '%resumed%'")
    return round(1000 * (began["time"] or 0))


def _asked(db: Database) -> dict[str, Any] | None:
    """The newest pause, resume or stop that the trainer has not taken yet, and for how many seconds it waits."""
    row = db.row("SELECT kind, time FROM commands WHERE taken IS NULL AND kind IN ('pause', 'resume', 'stop') ORDER BY id DESC LIMIT 1")
    return None if row is None else {"kind": row["kind"], "seconds": time.time() - row["time"]}


def dials_in_force(config: RunConfig, turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Values of the live dials after every recorded turn."""
    values = {name: getattr(config, name) for name in LIVE}
    values.update({t["name"]: t["new"] for t in turns if t["name"] in values})
    return values


def _refused(db: Database) -> list[dict[str, Any]]:
    """The newest dial turn, if the trainer did not take it within the last half minute, with its sentence."""
    newest = "SELECT max(id) FROM commands WHERE kind = 'set'"
    found = db.rows(
        f"SELECT body, answer FROM commands WHERE id = ({newest}) AND taken > ? AND answer NOT IN ('ok', 'undone')", time.time() - 30
    )
    return [{"changes": json.loads(r["body"]).get("changes", {}), "answer": r["answer"]} for r in found]


def _mean_phases(rows: list[dict[str, Any]]) -> dict[str, float]:
    names = {name for r in rows for name in r["phases"]}
    return {n: sum(r["phases"].get(n) or 0 for r in rows) / len(rows) for n in sorted(names)}


def _last_words(run: Run, state: str, status: dict[str, Any]) -> tuple[str, str, str]:
    """(message, remedy, details) for a person; a trainer that died without a word is described from outside."""
    if state == "died":
        saved = status.get("saved_at", 0)
        kept = f" Saved at {saved}." if saved else " Nothing was saved yet."
        words = log_tail(run)
        return (
            f"The trainer stopped by itself at {status.get('iteration', 0)}{' (killed, likely for its memory)' if started.was_killed(run) else ''}.{kept}",
            "Its last words are in the details." if words else "",
            words,
        )
    if state == "silent":
        return "No sign from the trainer.", "Charts stay. Look after it where it runs." if watched.holds(run) else "Charts stay. Wait, or end it.", ""
    details = status.get("details", "") or (log_tail(run) if state == "failed" else "")
    return status.get("message", ""), status.get("remedy", ""), details


def log_tail(run: Run, length: int = _LOG_TAIL) -> str:
    """The last `length` bytes of log.txt."""
    try:
        with open(run.log, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - length))
            return log.read().decode(errors="replace")
    except OSError:
        return ""


def info(run: Run, db: Database) -> dict[str, Any]:
    """What does not change from second to second: settings, prompts, what each reward is called."""
    config = settings(run)
    mapped = {r["prompt"] for r in db.rows("SELECT prompt FROM prompts WHERE mapped = 1")}
    return {
        "name": run.name,
        "config": config.model_dump(mode="json"),
        "preset": describe(config),
        "trained": list(plan(config, 1).trained),
        "prompts": [{"prompt": i, "text": text, "mapped": i in mapped} for i, text in enumerate(config.prompts)],
        "looks": _looks(db),
        "rewards": {name: REGISTRY[name].label for name in config.rewards},
    }


def _looks(db: Database) -> dict[str, list[dict[str, Any]]]:
    looks: dict[str, list[dict[str, Any]]] = {}
    for r in db.rows("SELECT prompt, look, share, picture FROM looks ORDER BY prompt, look"):
        looks.setdefault(str(r["prompt"]), []).append({"look": r["look"], "share": r["share"], "picture": r["picture"]})
    return looks


def brief(run: Run) -> dict[str, Any]:
    """One line of the list of runs."""
    with run.database(readonly=True) as db:
        status = db.status()
    state = started.state(run, status)
    return {
        "name": run.name,
        "state": state,
        "word": WORDS.get(state, state),
        "alive": state in ALIVE or state == "silent",
        "iteration": status.get("iteration", 0),
        "iterations": status.get("iterations", 0),
    }
