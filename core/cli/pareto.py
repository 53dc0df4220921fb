"""Reward against variety for every method: `python -m core bench pareto`. It goes on where it was interrupted."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from ..config import load_preset, parse_assignments
from ..errors import UserError
from ..runs import folder

# The baselines, each with the rewards that its model and those of its rivals are trained on: taste, and size of the file.
REWARDS = {
    "flow-grpo": {"style": {"style_preference": 1.0, "clip_score": 1.0}, "size": {"incompressibility": 1.0, "clip_score": 1.0}},
    "ddpo": {"style": {"style_preference": 1.0}, "size": {"incompressibility": 1.0}},
}
# method -> (preset, baseline that it is compared with, settings beside the preset's): the pairs of the claims first
METHODS = {
    "flow-grpo": ("collapse-demo", "flow-grpo", {}),
    "diverse-grpo": ("diverse-grpo", "flow-grpo", {}),
    "drift-style": ("drift-style", "flow-grpo", {}),
    "ddpo": ("ddpo", "ddpo", {}),
    "hrf": ("hrf", "ddpo", {}),
    "hrf-d": ("hrf-d", "ddpo", {}),
    "diverse-grpo, bonus alone": ("diverse-grpo", "flow-grpo", {"sa_reg_steps": 0}),
    "diverse-grpo, leash alone": ("diverse-grpo", "flow-grpo", {"creative_beta": 0.0}),
    "drift-style, subset alone": ("drift-style", "flow-grpo", {"prompt_noise_scale": 0.0, "shaping_alpha": 0.0}),
    "drift-style, prompt noise alone": ("drift-style", "flow-grpo", {"subset_mode": "off", "shaping_alpha": 0.0}),
    "drift-style, shaping alone": ("drift-style", "flow-grpo", {"subset_mode": "off", "prompt_noise_scale": 0.0}),
    "mix-grpo": ("mix-grpo", "flow-grpo", {}),
    "flow-grpo-fast": ("flow-grpo-fast", "flow-grpo", {}),
    "flow-cps": ("flow-cps", "flow-grpo", {}),
    "dance-grpo": ("dance-grpo", "flow-grpo", {}),
    "grpo-guard": ("grpo-guard", "flow-grpo", {}),
    "gardo": ("gardo", "flow-grpo", {}),
}
QUICK = ("flow-grpo", "diverse-grpo", "drift-style", "ddpo", "hrf")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=3, help="pareto, sweep: seeds of every method or value (default 3)")
    parser.add_argument("--quick", action="store_true", help="pareto: five methods, one reward, 20 iterations")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="pareto: these methods only, with their baselines")
    parser.add_argument("--rewards", nargs="+", choices=("style", "size"), help="pareto: these kinds of reward only")


def run(args: argparse.Namespace) -> int:
    from ..proof import Interrupted, measured, trained

    methods = chosen(args.methods or (QUICK if args.quick else METHODS))
    kinds = [kind for kind in ("style", "size") if not args.rewards or kind in args.rewards][: 1 if args.quick else None]
    common = {**({"iterations": 20} if args.quick else {}), **parse_assignments(args.assignments)}
    tracks: dict[str, dict[str, list]] = {}  # reward -> method -> one track a seed
    for kind in kinds:
        for seed in range(args.seeds):  # seed by seed, so that an interrupted comparison is one of fewer seeds
            for name, (preset, against, changes) in methods.items():
                config = load_preset(preset).with_changes(**{**changes, **common, "rewards": REWARDS[against][kind], "seed": seed, "checkpoint_every": 5, "keep_checkpoints": 10_000})
                place = folder.Run(args.run_dir / kind / f"{_slug(name)}-{seed}")
                # all are measured on the baseline's scale of rewards, which was trained first
                scale = folder.Run(args.run_dir / kind / f"{_slug(against)}-{seed}")
                try:
                    track = measured(trained(place, config), scale=scale, until=config.iterations)
                except Interrupted as interrupted:
                    return interrupted.code
                tracks.setdefault(kind, {}).setdefault(name, []).append(track)
                print(f"{kind} {name} {seed}: reward {track[-1].reward:.2f}, looks {track[0].clip:.2f} to {track[-1].clip:.2f}", flush=True)
            write(tracks, methods, args.run_dir)
    print((args.run_dir / "table.md").read_text())
    return 0


def chosen(names: Iterable[str]) -> dict[str, tuple]:
    """The methods of these names with their baselines, in METHODS' order. Raises UserError."""
    for name in names:
        if name not in METHODS:
            raise UserError(f"methods: {name!r} is unknown. Use {'; '.join(METHODS)}.", "methods")
    wanted = {*names, *(METHODS[name][1] for name in names)}
    return {name: method for name, method in METHODS.items() if name in wanted}


def write(tracks: dict[str, dict[str, list]], methods: dict, where: Path) -> None:
    """table.md, results.json and a figure a reward, from what has been measured so far."""
    from dataclasses import asdict

    rows = [row for kind, found in tracks.items() for row in compare(kind, found, methods)]
    folder.write_atomically(where / "results.json", json.dumps({
        "rows": rows, "tracks": {kind: {name: [[asdict(m) for m in t] for t in ts] for name, ts in found.items()} for kind, found in tracks.items()},
    }, indent=1))
    lines = [
        "| reward | method | against | seeds | reward gained | looks kept of base | more looks at equal reward: clip | pixels | more reward at equal looks: clip | pixels |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        shown = [_spread(r[key]) for key in ("more_looks_clip", "more_looks_pixels", "more_reward_clip", "more_reward_pixels")]
        if r["method"] == r["against"]:
            shown = ["" for _ in shown]
        gain = f"{_mean(r['gain']):.2f}"
        lines.append(f"| {r['reward']} | {r['method']} | {r['against']} | {len(r['gain'])} | {gain} | {_spread(r['kept'])} | {' | '.join(shown)} |")
    folder.write_atomically(where / "table.md", "\n".join(lines) + "\n")
    for kind, found in tracks.items():
        folder.write_atomically(where / f"{kind}.html", figure(kind, found))


def compare(kind: str, found: dict[str, list], methods: dict) -> list[dict]:
    """One row a method; every value is a list over the seeds that it and its baseline both have."""
    from ..proof import at_equal_reward, gain_at_equal_variety

    rows = []
    for name, tracks in found.items():
        against = methods[name][1]
        pairs = list(zip(tracks, found[against]))
        row = {"reward": kind, "method": name, "against": against, "gain": [t[-1].reward - t[0].reward for t, _ in pairs], "kept": [t[-1].clip / t[0].clip for t, _ in pairs]}
        for space in ("clip", "pixels"):
            row[f"more_looks_{space}"] = [at_equal_reward(t, b, space) for t, b in pairs]
            row[f"more_reward_{space}"] = [gain_at_equal_variety(t, b, space) for t, b in pairs]
        rows.append(row)
    return rows


def figure(kind: str, found: dict[str, list]) -> str:
    """An HTML page: looks against reward, a line a method (mean over seeds), its seeds as faint lines."""
    import numpy as np
    import plotly.graph_objects as go
    from plotly.colors import qualitative

    drawn = go.Figure()
    for number, (name, tracks) in enumerate(found.items()):
        colour = qualitative.Dark24[number % len(qualitative.Dark24)]
        points = lambda t: ([m.reward for m in t], [m.clip for m in t])
        for track in tracks:
            x, y = points(track)
            drawn.add_scatter(x=x, y=y, mode="lines", line={"color": colour, "width": 1}, opacity=0.3, legendgroup=name, showlegend=False, hoverinfo="skip")
        x, y = (np.mean(columns, axis=0) for columns in zip(*(points(t) for t in tracks)))
        drawn.add_scatter(x=x, y=y, mode="lines+markers", line={"color": colour, "width": 2.5}, name=name, legendgroup=name)
    drawn.update_layout(title=f"Reward against looks, reward: {kind}", xaxis_title="reward, spreads of the base", yaxis_title="effective number of looks", template="simple_white")
    return drawn.to_html(include_plotlyjs=True)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _spread(values: list[float]) -> str:
    """Mean (smallest to largest), in per cent."""
    return f"{_mean(values):.0%} ({min(values):.0%} to {max(values):.0%})"


def _slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")
