"""What a person can do now: about a run that narrows, and about one that ended badly. Each entry is a button."""

from __future__ import annotations

from typing import Any

from core.alarms import SPAN, last_healthy
from core.config import RunConfig
from core.errors import UserError
from core.runs import checkpoints
from core.runs.branch import free_path
from core.runs.database import Database
from core.runs.folder import Run

from .cost import NOTEWORTHY
from .history import History
from .verdict import COLLAPSING, NARROWING

USUAL_BETA, STEP, MOST_BETA = 0.5, 0.25, 3.0


def against_narrowing(run: Run, past: History, config: RunConfig) -> dict[str, Any] | None:
    """{"beta": value to raise the bonus to or None, "turned": iteration of a raise that has yet to show or None,
    "back": last healthy checkpoint or None, "branch": what a run that goes on from there would be called or None};
    None while there is nothing to mend. `config`: with the dials in force.
    """
    now = past.rows[-1] if past.rows else None
    if now is None or not now["alarms"] and now["verdict"] not in (NARROWING, COLLAPSING):
        return None
    raises = [t["iteration"] for t in past.dials if t["name"] == "creative_beta" and t["new"] > t["old"]]
    turned = raises[-1] if raises and now["iteration"] - raises[-1] < SPAN else None
    back = last_healthy(checkpoints.all_of(run), {r["iteration"]: r["q"] for r in past.rows})
    return {"beta": next_beta(config), "turned": turned, "back": back, "branch": None if back is None else free_path(run, back).name}


def next_beta(config: RunConfig) -> float | None:
    """The bonus to try next: the usual 0.5, from there in steps of 0.25; None if it cannot be raised."""
    beta = USUAL_BETA if config.creative_beta < USUAL_BETA else min(MOST_BETA, round(config.creative_beta + STEP, 2))
    if beta <= config.creative_beta:
        return None
    try:
        config.with_changes(creative_beta=beta)
    except UserError:  # some settings leave nothing that a bonus could pay
        return None
    return beta


def after_failure(run: Run, db: Database, state: str) -> dict[str, Any] | None:
    """{"reason": memory, disk, number, setting, fault or died, "saved": newest checkpoint or 0, "changes": settings with which
    to go on, "saving": bytes of memory that these save at least, 0 if that is little or unknown, "checkpointing": whether that is still to be turned on};
    None if the run did not fail.
    """
    if state not in ("failed", "died"):
        return None
    saved = checkpoints.all_of(run)
    told = {"reason": state if state == "died" else "fault", "saved": saved[-1] if saved else 0, "changes": {}, "saving": 0, "checkpointing": False}
    if state == "failed":
        events = [e for e in db.events() if e["kind"] == "failure"]
        why = events[-1] if events else {}
        told["reason"] = why.get("reason", "fault")
        if why.get("fewer"):
            told["changes"], told["saving"] = {"micro_batch": why["fewer"]}, why["saving"] if why.get("saving", 0) >= NOTEWORTHY else 0
        told["checkpointing"] = why.get("thrifty") is False
        if why.get("rate"):
            told["changes"] = {"learning_rate": why["rate"]}
    return told
