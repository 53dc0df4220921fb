"""A trainer's manners without a model: `python fake_worker.py RUN_FOLDER [--resume]` beats, draws, takes commands."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

import psutil  # noqa: E402
from sample_run import LORA, World, metrics, write_base  # noqa: E402

from core.runs import checkpoints  # noqa: E402
from core.runs.folder import Run  # noqa: E402

PACE = float(os.environ.get("FAKE_PACE", "0.4"))  # seconds per iteration
DEAF = bool(os.environ.get("FAKE_DEAF"))  # takes no command, as if in a very long step


def lay_out(db, worlds: list[World], iteration: int) -> None:
    """From iteration 3 on, every picture written so far gets its place: as with UMAP, a moment after it was made."""
    if iteration < 3:
        return
    # the sample run's PCA plane is a shear of its UMAP plane
    bare = db.rows("SELECT id, pca_x, pca_y FROM pictures WHERE umap_x IS NULL")
    db.update_pictures(("umap_x", "umap_y"), [((r["pca_x"] - 0.5 * r["pca_y"] / 0.7) / 0.8, r["pca_y"] / 0.7, r["id"]) for r in bare])
    if iteration == 3:
        for prompt in range(len(worlds)):
            db.add_event("map", iteration, prompt=prompt, method="umap")


def main(folder: Path) -> None:
    run = Run(folder)
    config = run.config()
    worlds = [World(p, seed=i) for i, p in enumerate(config.prompts)]
    dials = {"creative_beta": config.creative_beta}
    with run.database() as db:
        db.set_status(
            state="preparing",
            pid=os.getpid(),
            process_started=psutil.Process().create_time(),
            iterations=config.iterations,
            phase="base pictures",
            total=config.base_pictures,
            memory_total=8_000_000_000,
            memory_used=1_100_000_000,
            device="cpu",
            message="",
            remedy="",
            details="",
        )
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
                    if state != "running" or time.time() < next_step:
                        continue  # a dial waits for the next iteration
                    for name, value in body["changes"].items():
                        db.add_event("dial", iteration + 1, name=name, old=dials.get(name, getattr(config, name)), new=value)
                        dials[name] = value
                if kind == "sample":
                    if state == "paused":
                        continue  # as the trainer does
                    prompt = body["prompt"]
                    made = worlds[prompt].pictures("sample", iteration, prompt, config.group_size, laid_out=False)
                    db.add_pictures(made)
                    db.add_event("sample", iteration, prompt=prompt, seeds=[p["seed"] for p in made])
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
                lay_out(db, worlds, iteration)
                db.add_iteration(iteration, PACE, metrics(groups, dials), [r for rows in groups.values() for r in rows])
            time.sleep(0.03)
        if iteration:
            checkpoints.save(run, iteration, LORA, {}, keep=5)
        db.set_status(state="finished" if state == "running" else "stopped", phase="", pid=None, saved_at=iteration)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
