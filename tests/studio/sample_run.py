"""A run folder with a made-up run in it, written only through core.runs: a reward that likes one look drives variety
down, the diversity bonus brings it back (replicator dynamics over looks). Pictures are emoji if the data set is near.
"""

from __future__ import annotations

import io
import json
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from core.config import RunConfig
from core.runs.database import Database, pack
from core.runs.folder import Run, create

DATA = Path(os.environ.get("MANYMODES_EMOJI", Path(__file__).parents[3] / "shared" / "data" / "emoji" / "emoji64.parquet"))
LOOKS = 6
FEATURES = 16
# the tensors of one layer, as the trainer names them
LORA = {f"lora/transformer_blocks.0.attn.to_q.lora_{side}.default.weight": np.ones(shape, np.float32) for side, shape in (("A", (32, 8)), ("B", (8, 32)))}
STYLES = ("fluent-3d", "noto", "twemoji", "fluent-color", "fluent-flat")


@lru_cache(maxsize=32)
def pool(prompt: str) -> list[list[bytes]]:
    """WebP pictures of `prompt`, a list per look."""
    found = [[] for _ in range(LOOKS)]
    if DATA.exists():
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        table = pq.read_table(DATA, columns=["image", "name", "style"], filters=pc.match_substring(pc.field("name"), prompt))
        for image, name, style in zip(*(table[c].to_pylist() for c in ("image", "name", "style"))):
            words = name.replace(":", " ").split()
            if prompt in words:
                look = 5 if name in ("black cat", "cat") and style == "fluent-3d" else STYLES.index(style)
                found[look].append(webp(Image.open(io.BytesIO(image))))
    return [some or drawn(look) for look, some in enumerate(found)]


def drawn(look: int) -> list[bytes]:
    """Three simple pictures of a look."""
    colours = ["#c84b16", "#3a46a8", "#127f75", "#7c1160", "#1b9be0", "#b8931a"]
    pictures = []
    for shift in (-4, 0, 4):
        image = Image.new("RGB", (64, 64), "white")
        pen = ImageDraw.Draw(image)
        pen.regular_polygon((32 + shift, 34, 20 + shift // 2), look + 3, fill=colours[look % 6])
        pen.ellipse((26, 28, 30, 33), fill="black")
        pen.ellipse((36, 28, 40, 33), fill="black")
        pictures.append(webp(image))
    return pictures


def webp(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "WEBP", quality=85)
    return out.getvalue()


class World:
    """What a trainer would see of one prompt: looks with shares that reward and bonus move."""

    def __init__(self, prompt: str, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        self.pool = pool(prompt) if prompt.isascii() and prompt.isalpha() else [drawn(k) for k in range(LOOKS)]
        self.base = np.array([0.21, 0.19, 0.18, 0.16, 0.14, 0.12])
        self.shares = self.base.copy()
        self.taste = np.array([0.60, 0.50, 0.52, 0.45, 0.465, 0.43])
        self.centres = self.rng.normal(size=(LOOKS, FEATURES))
        self.centres /= np.linalg.norm(self.centres, axis=1, keepdims=True)
        angles = np.arange(LOOKS) * 2 * np.pi / LOOKS
        self.places = np.stack([np.cos(angles) * 4, np.sin(angles) * 3], 1) + self.rng.normal(size=(LOOKS, 2)) * 0.3
        self.gain = 0.0

    def step(self, beta: float, speed: float = 1.0) -> None:
        """One update: shares grow with reward and, by the bonus, with rarity."""
        fitness = self.taste + 0.236 * beta * np.minimum(5, np.sqrt(1 / np.maximum(self.shares, 1e-4)))
        fitness = fitness - (self.shares * fitness).sum()
        self.shares = np.maximum(self.shares * np.exp(speed * 0.255 * fitness), 1e-4)
        self.shares /= self.shares.sum()
        self.gain += 0.0023 * speed * (1 - self.gain)

    def pictures(self, kind: str, iteration: int, prompt: int, count: int, *, laid_out: bool = True) -> list[dict]:
        """Rows for the pictures table; columns as the worker writes them."""
        weights = self.base if kind == "base" else self.shares
        rows = []
        for position, look in enumerate(self.rng.choice(LOOKS, count, p=weights)):
            x, y = self.places[look] + self.rng.normal(size=2) * [0.75, 0.6]
            feature = self.centres[look] + 0.07 * self.rng.normal(size=FEATURES)
            reward = float((self.taste[look] + self.gain - 0.5 + 0.05 * self.rng.normal()) * 10)
            choices = self.pool[look]
            new = kind == "train" and self.rng.random() < 0.015
            rows.append(
                {
                    "kind": kind,
                    "iteration": iteration,
                    "prompt": prompt,
                    "position": position,
                    "seed": int(self.rng.integers(2**31)),
                    "reward": reward,
                    "scores": json.dumps({"style_preference": reward / 10 + 0.5}),
                    "bonus": None,
                    "cluster": int(look),
                    "look": -1 if new else int(look),
                    "pca_x": float(x * 0.8 + y * 0.5),
                    "pca_y": float(y * 0.7),
                    "umap_x": float(x) if laid_out else None,
                    "umap_y": float(y) if laid_out else None,
                    "embedding": pack(feature / np.linalg.norm(feature)),
                    "thumb": choices[int(self.rng.integers(len(choices)))],
                }
            )
        return rows


def vendi(rows: list[dict]) -> float:
    """exp of the entropy of the eigenvalues of the similarity matrix / n."""
    features = np.stack([np.frombuffer(r["embedding"], "<f2") for r in rows]).astype(np.float64)
    values = np.linalg.eigvalsh(features @ features.T / len(rows))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def metrics(by_prompt: dict[int, list[dict]], dials: dict) -> dict:
    """What the worker says about one iteration, from its pictures."""
    shares, rewards = {}, {}
    for prompt, rows in by_prompt.items():
        looks = np.array([r["look"] for r in rows])
        shares[str(prompt)] = [float((looks == k).mean()) for k in [*range(LOOKS), -1]]
        rewards[str(prompt)] = [
            float(np.mean([r["reward"] for r in rows if r["look"] == k])) if (looks == k).any() else None for k in range(LOOKS)
        ]
    by = {str(p): vendi(rows) for p, rows in by_prompt.items()}
    everything = [r for rows in by_prompt.values() for r in rows]
    return {
        "reward": float(np.mean([r["reward"] for r in everything])),
        "reward_raw": {"style_preference": 0.5},
        "vendi": float(np.mean(list(by.values()))),
        "vendi_by_prompt": by,
        "distance": 0.3,
        "clusters": 4.0,
        "look_shares": shares,
        "look_rewards": rewards,
        "loss": 0.01,
        "leash": [0.0] * 9,
        "seconds": {"rollout": 0.21, "decode": 0.03, "reward": 0.02, "diversity": 0.02, "update": 0.2, "write": 0.01},
        "dials": dials,
    }


def write_base(db: Database, config: RunConfig, worlds: list[World], count: int | None = None, *, laid_out: bool = True) -> None:
    """Prompts, base pictures, looks and iteration 0."""
    groups = {}
    for i, (text, world) in enumerate(zip(config.prompts, worlds)):
        db.write("INSERT INTO prompts (prompt, text, mapped) VALUES (?, ?, 1)", i, text)
        rows = world.pictures("base", 0, i, count or config.base_pictures, laid_out=laid_out)
        ids = db.add_pictures(rows)
        looks = np.array([r["look"] for r in rows])
        for look in range(LOOKS):
            typical = ids[int(np.flatnonzero(looks == look)[0])] if (looks == look).any() else ids[0]
            db.write(
                "INSERT INTO looks (prompt, look, share, picture) VALUES (?, ?, ?, ?)", i, look, float((looks == look).mean()), typical
            )
        groups[i] = rows
    first = {i: rows[: config.group_size] for i, rows in groups.items()}
    base = metrics(first, {})
    # the base level is the mean over all disjoint groups of the group's size, as little noise as possible
    levels = {
        i: np.mean([vendi(rows[s : s + config.group_size]) for s in range(0, len(rows) - config.group_size + 1, config.group_size)])
        for i, rows in groups.items()
    }
    base |= {
        "vendi_by_prompt": {str(i): float(v) for i, v in levels.items()},
        "vendi": float(np.mean(list(levels.values()))),
        "reward": 0.0,
    }
    base["look_shares"] = {
        str(i): [float(np.mean([r["look"] == k for r in rows])) for k in [*range(LOOKS), -1]] for i, rows in groups.items()
    }
    db.add_iteration(0, 1.0, base)
    if laid_out:
        for i in groups:
            db.add_event("map", 0, prompt=i, method="umap")


def write_run(
    path: Path,
    *,
    iterations: int = 60,
    prompts: tuple[str, ...] = ("cat",),
    turn_at: int | None = None,
    state: str = "stopped",
    end: int = 400,
    pid: int | None = None,
    **settings,
) -> Run:
    """A whole run at once. `turn_at`: the iteration at which beta went from 0 to 0.5."""
    config = RunConfig(
        prompts=prompts,
        prompts_per_iteration=settings.pop("prompts_per_iteration", len(prompts)),
        iterations=end,
        **{"rewards": {"style_preference": 1.0}, **settings},
    )
    run = create(path, config)
    worlds = [World(p, seed=i) for i, p in enumerate(prompts)]
    with run.database() as db:
        write_base(db, config, worlds)
        beta = config.creative_beta
        for iteration in range(1, iterations + 1):
            if iteration == turn_at:
                db.add_event("dial", iteration, name="creative_beta", old=beta, new=0.5)
                beta = 0.5
            groups = {}
            for i, world in enumerate(worlds):
                world.step(beta)
                groups[i] = world.pictures("train", iteration, i, config.group_size)
            db.add_iteration(iteration, 0.5, metrics(groups, {"creative_beta": beta}), [r for rows in groups.values() for r in rows])
        db.set_status(
            state=state,
            iteration=iterations,
            iterations=end,
            memory_used=3_400_000_000,
            memory_total=8_000_000_000,
            device="cpu",
            saved_at=iterations // 20 * 20,
            pid=pid,
        )
    return run
