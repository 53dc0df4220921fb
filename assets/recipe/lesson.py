"""The lesson's recording: two real runs, pruned to what the Lesson screen replays, as read-only run folders in assets/lesson.

    python -m assets.recipe.lesson COLLAPSE_RUN DIVERSE_RUN

COLLAPSE_RUN learns from reward alone until its looks are gone. In a branch of it the bonus may be turned up afterwards;
without that turn the lesson takes its fourth step from DIVERSE_RUN. Every n-th iteration keeps its pictures, in a
DIVERSE_RUN that is not replayed the last one alone. Of DIVERSE_RUN there are also pairs: base and newest checkpoint on the
same seeds. They are taken from what Compare has drawn; what is missing there is drawn now, by a sampler process of its
own, so nothing here imports torch.
All metrics are kept, rounded to 5 digits.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from core.config import ROOT
from core.errors import UserError
from core.runs import checkpoints, compare
from core.runs.database import Database
from core.runs.folder import Run, write_atomically

LESSON = ROOT / "assets" / "lesson"
LARGEST = 700_000  # bytes of the whole recording
NAMES = ("collapse", "diverse")
KEPT_EVENTS = ("dial", "map", "warning", "alarm")
DIGITS = 5
PATIENCE = 1800.0  # seconds that the pairs may take


def small(data: bytes, quality: int) -> bytes:
    """A picture as the smallest WebP of this quality."""
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(out, "WEBP", quality=quality, method=6)
    return out.getvalue()


def rounded(value: Any) -> Any:
    """Floats in nested lists and dicts with DIGITS significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return value


def compact(text: str) -> str:
    return json.dumps(rounded(json.loads(text)), separators=(",", ":"))


# --- what is kept ---------------------------------------------------------------------------------------------------------
def kept_iterations(db: Database, every: int | None, until: int) -> list[int]:
    """Iterations whose pictures stay: every n-th, the first, the last, and the last before each turn of a dial; of None the last alone."""
    numbers = [r["iteration"] for r in db.rows("SELECT iteration FROM iterations WHERE iteration BETWEEN 1 AND ? ORDER BY iteration", until)]
    if every is None:
        return numbers[-1:]
    turns = {r["iteration"] - 1 for r in db.rows("SELECT iteration FROM events WHERE kind = 'dial'")}
    return [n for n in numbers if n % every == 0 or n in (numbers[0], numbers[-1]) or n in turns]


def base_ids(db: Database, count: int) -> list[int]:
    """Base pictures that stay: the first `count` of the mapped prompt, and the typical one of each look."""
    typical = {r["picture"] for r in db.rows("SELECT picture FROM looks")}
    first = db.rows("SELECT id FROM pictures WHERE kind = 'base' ORDER BY position, prompt LIMIT ?", count)
    return sorted(typical | {r["id"] for r in first})


def turned(db: Database) -> bool:
    return db.row("SELECT 1 FROM events WHERE kind = 'dial' AND json_extract(body, '$.name') = 'creative_beta'") is not None


def copy_facts(source: Database, target: Database, until: int) -> int:
    """Prompts, looks, iterations up to `until` and the events that the charts mark; returns the last iteration."""
    for r in source.rows("SELECT prompt, text, mapped FROM prompts"):
        target.write("INSERT INTO prompts (prompt, text, mapped) VALUES (?, ?, ?)", *r)
    for r in source.rows("SELECT prompt, look, share, picture FROM looks"):
        target.write("INSERT INTO looks (prompt, look, share, picture) VALUES (?, ?, ?, ?)", r["prompt"], r["look"], rounded(r["share"]), r["picture"])
    rows = source.rows("SELECT iteration, time, seconds, metrics FROM iterations WHERE iteration <= ? ORDER BY iteration", until)
    for r in rows:
        values = (r["iteration"], round(r["time"], 1), rounded(r["seconds"]), compact(r["metrics"]))
        target.write("INSERT INTO iterations (iteration, time, seconds, metrics) VALUES (?, ?, ?, ?)", *values)
    marks = ", ".join("?" * len(KEPT_EVENTS))
    for r in source.rows(f"SELECT time, iteration, kind, body FROM events WHERE kind IN ({marks}) AND iteration <= ? ORDER BY id", *KEPT_EVENTS, until):
        target.write("INSERT INTO events (time, iteration, kind, body) VALUES (?, ?, ?, ?)", *r)
    return rows[-1]["iteration"]


_COLUMNS = "id, kind, iteration, prompt, position, seed, reward, scores, bonus, cluster, look, pca_x, pca_y, umap_x, umap_y, thumb"


def copy_pictures(source: Database, target: Database, where: str, quality: int) -> None:
    """Pictures under their own ids, with small thumbnails. Their features stay behind: only training and all-prompt maps use them."""
    made = []
    for r in source.rows(f"SELECT {_COLUMNS} FROM pictures WHERE {where} ORDER BY id"):
        row = {k: rounded(r[k]) for k in r.keys()}
        made.append(row | {"scores": compact(r["scores"]), "thumb": small(r["thumb"], quality), "embedding": b""})
    target.add_pictures(made)


# --- pairs of base and tuned ----------------------------------------------------------------------------------------------
def pairs(run: Run, count: int, *, patience: float = PATIENCE) -> tuple[int, list[tuple[dict, dict]]]:
    """(checkpoint, [(base, tuned)]) on the seeds 0 to count - 1 of the first prompt. Raises UserError."""
    saved = checkpoints.all_of(run)
    if not saved:
        raise UserError(f"{run.path}: nothing was saved, so there is no tuned model to compare with the base.", "run")
    seeds, sides = range(count), (compare.BASE, (saved[-1], 100))
    with compare.Store(run) as store:
        end, started = time.monotonic() + patience, False
        while True:
            found = [store.pictures(0, side, seeds, "id, seed, reward, look, picture") for side in sides]
            if all(len(side) == count for side in found):
                break
            problems = store.problems()
            if problems or time.monotonic() > end:
                raise UserError(f"{run.path}: the pairs were not drawn ({'; '.join(problems.values()) or 'no answer'}). Its log.txt says more.", "run")
            store.want("lesson", [compare.Want(compare.OPENED, 0, *side, tuple(seeds)) for side in sides])
            if not started:
                compare.start_sampler(run)
                started = True
            time.sleep(2)
    if started:
        compare.end_sampler(run)
    base, tuned = ([dict(side[seed]) for seed in seeds] for side in found)
    return saved[-1], list(zip(base, tuned))


def add_pairs(target: Database, at: int, found: list[tuple[dict, dict]], quality: int) -> None:
    """Pairs as pictures of kind 'sample': iteration 0 is the base side, `at` the tuned one, position the pair."""
    made = []
    for position, pair in enumerate(found):
        for iteration, picture in zip((0, at), pair):
            made.append(
                {
                    "kind": "sample", "iteration": iteration, "prompt": 0, "position": position, "seed": picture["seed"], "look": picture["look"],
                    "reward": rounded(picture["reward"]), "thumb": small(picture["picture"], quality), "embedding": b"",
                }  # fmt: skip
            )
    target.add_pictures(made)


# --- folders --------------------------------------------------------------------------------------------------------------
def record(source: Run, path: Path, *, every: int | None, until: int, base: int, pair_count: int, quality: int) -> None:
    """Write `source` up to iteration `until` into the new folder `path`. `every`: see kept_iterations."""
    path.mkdir(parents=True)
    write_atomically(path / "config.yaml", source.config().to_yaml())
    if source.film.exists():
        write_atomically(Run(path).film, small(source.film.read_bytes(), quality))
    with source.database(readonly=True) as db, Run(path).database() as target:
        target.set_status(state="replay")
        last = copy_facts(db, target, until)
        ids = base_ids(db, base)
        copy_pictures(db, target, f"kind = 'base' AND id IN ({', '.join(map(str, ids))})", quality)
        numbers = ", ".join(map(str, kept_iterations(db, every, until)))
        copy_pictures(db, target, f"kind = 'train' AND iteration IN ({numbers})", quality)
        if pair_count:
            add_pairs(target, *pairs(source, pair_count), quality)
        target.add_event("recorded", 0, every=every, pictures=len(ids))
        target.set_status(iteration=last, iterations=last, message="A recorded run.", device=db.status().get("device", ""))
    # a database in WAL mode cannot be read in a folder that may not be written to
    with sqlite3.connect(path / "run.db") as plain:
        plain.execute("UPDATE status SET heartbeat = 0")
        plain.commit()
        plain.execute("PRAGMA journal_mode=DELETE")
        plain.execute("VACUUM")
    plain.close()


def size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m assets.recipe.lesson", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collapse", type=Path, metavar="COLLAPSE_RUN")
    parser.add_argument("diverse", type=Path, metavar="DIVERSE_RUN")
    parser.add_argument("--out", type=Path, default=LESSON, help="folder of the recording (default: assets/lesson)")
    parser.add_argument("--until", type=int, default=10**9, help="leave out what comes after this iteration of COLLAPSE_RUN")
    parser.add_argument("--every", type=int, default=3, help="keep the pictures of every n-th iteration (default 3)")
    parser.add_argument("--base", type=int, default=48, help="base pictures on the map (default 48)")
    parser.add_argument("--pairs", type=int, default=24, help="pairs of base and tuned (default 24)")
    parser.add_argument("--quality", type=int, default=42, help="of the pictures, 1 to 100 (default 42)")
    args = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as draft:
            new = Path(draft)
            with Run(args.collapse).database(readonly=True) as db:
                alone = turned(db)  # the first run tells the fourth step too
            shared = {"base": args.base, "quality": args.quality}
            record(Run(args.collapse), new / NAMES[0], every=args.every, until=args.until, pair_count=0, **shared)
            record(
                Run(args.diverse), new / NAMES[1], every=None if alone else args.every, until=10**9, pair_count=args.pairs,
                **(shared | ({"base": 0} if alone else {})),
            )  # fmt: skip
            taken = size(new)
            if taken > LARGEST:
                raise UserError(f"lesson: {taken / 1000:.0f} kB, {LARGEST // 1000} kB are allowed. Raise --every, or lower --base or --quality.")
            for name in NAMES:
                shutil.rmtree(args.out / name, ignore_errors=True)
                shutil.copytree(new / name, args.out / name)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{args.out}: {taken / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
