"""A trainer's manners without a model: `python fake_worker.py RUN_FOLDER [--resume]` beats, draws, takes commands."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import psutil  # noqa: E402
from sample_run import World, metrics, write_base  # noqa: E402

from core.runs.folder import Run  # noqa: E402

PACE = float(os.environ.get("FAKE_PACE", "0.4"))  # seconds per iteration
DEAF = bool(os.environ.get("FAKE_DEAF"))  # takes no command, as if in a very long step


def main(folder: Path) -> None:
    run = Run(folder)
    config = run.config()
    worlds = [World(p, seed=i) for i, p in enumerate(config.prompts)]
    dials = {"creative_beta": config.creative_beta}
    with run.database() as db:
        db.set_status(state="preparing", pid=os.getpid(), process_started=psutil.Process().create_time(), iterations=config.iterations, phase="base pictures",
                      total=config.base_pictures, memory_total=8_000_000_000, memory_used=1_100_000_000, device="cpu", message="", remedy="", details="")
        iteration = db.status()["iteration"]
        if db.row("SELECT 1 FROM iterations WHERE iteration = 0") is None:
            for done in range(0, config.base_pictures, 40):
                db.set_status(done=done)
                time.sleep(0.1)
            write_base(db, config, worlds, laid_out=False)
        db.set_status(state="running", phase="make", message="")
        next_step, state = time.time() + PACE, "running"
        while state != "stopping" and iteration < config.iterations:
            for number, kind, body in [] if DEAF else db.pending():
                if kind == "set":
                    for name, value in body["changes"].items():
                        db.add_event("dial", iteration + 1, name=name, old=dials.get(name, getattr(config, name)), new=value)
                        dials[name] = value
                state = {"pause": "paused", "resume": "running", "stop": "stopping"}.get(kind, state)
                db.answer(number)
            db.set_status(state=state)
            if state == "running" and time.time() >= next_step:
                iteration += 1
                next_step = time.time() + PACE
                groups = {}
                for i, world in enumerate(worlds):
                    world.step(dials["creative_beta"], speed=3)
                    groups[i] = world.pictures("train", iteration, i, config.group_size, laid_out=False)
                db.add_iteration(iteration, PACE, metrics(groups, dials), [r for rows in groups.values() for r in rows])
            time.sleep(0.03)
        db.set_status(state="finished" if state == "running" else "stopped", phase="", pid=None, saved_at=iteration)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
