"""Reward against variety for every method: `python -m core bench pareto`. It goes on where it was interrupted."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from statistics import median

from ..config import parse_assignments
from ..errors import UserError
from ..presets import load_preset
from ..runs import folder
from .own import OWN, refuse_own

# The baselines, each with the rewards that it and its rivals are trained on: taste or colour, and the size of the file.
REWARDS = {
    "flow-grpo": {
        "style": {"style_preference": 1.0, "clip_score": 1.0},
        "colour": {"colourfulness": 1.0, "clip_score": 1.0},
        "size": {"incompressibility": 1.0, "clip_score": 1.0},
    },
    "ddpo": {"colour": {"colourfulness": 1.0}, "size": {"incompressibility": 1.0}},
}
KINDS = ("style", "colour", "size")
LEFT, GAIN = 0.7, 0.9  # HRF's claim: near DDPO's reward with nearly all looks kept, where DDPO has fallen to so many
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
    parser.add_argument("--quick", action="store_true", help="pareto: five methods, one reward each, 20 iterations")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="pareto: these methods only, with their baselines")
    parser.add_argument("--rewards", nargs="+", choices=KINDS, help="pareto: these kinds of reward only")


def run(args: argparse.Namespace) -> int:
    if args.seeds < 1:
        raise UserError(f"seeds: {args.seeds}. Use at least 1.")
    changed = parse_assignments(args.assignments)
    refuse_own(changed, "bench pareto", "rewards")
    from ..proof import Interrupted, measured, trained


    methods = chosen(args.methods or (QUICK if args.quick else METHODS))
    plan = trained_on(methods, args.rewards or KINDS, only_first=args.quick)
    common = {**({"iterations": 20} if args.quick else {}), **changed}
    tracks = earlier(args.run_dir)
    for kind, names in plan.items():
        done: dict[str, list] = {}  # method -> one track a seed
        for seed in range(args.seeds):  # seed by seed, so that an interrupted comparison is one of fewer seeds
            for name in names:
                preset, against, changes = methods[name]
                config = load_preset(preset).with_changes(**{**changes, **common, "rewards": REWARDS[against][kind], "seed": seed, **OWN})
                place = folder.Run(args.run_dir / kind / f"{_slug(name)}-{seed}")
                # all are measured on the baseline's scale of rewards, which was trained first
                scale = folder.Run(args.run_dir / kind / f"{_slug(against)}-{seed}")
                try:
                    track = measured(trained(place, config), scale=scale, until=config.iterations)
                except Interrupted as interrupted:
                    return interrupted.code
                done.setdefault(name, []).append(track)
                print(f"{kind} {name} {seed}: reward {track[-1].reward:.2f}, looks {track[0].clip:.2f} to {track[-1].clip:.2f}", flush=True)
            known = tracks.get(kind, {})
            # fewer seeds than before measure the first of them anew and leave the rest as they were
            tracks = {**tracks, kind: {**known, **{name: found + known.get(name, [])[len(found) :] for name, found in done.items()}}}
            write(tracks, args.run_dir)
    print((args.run_dir / "table.md").read_text())
    return 0


def trained_on(methods: dict[str, tuple], kinds: Iterable[str], *, only_first: bool = False) -> dict[str, list[str]]:
    """Kind of reward -> the methods whose baseline is trained on it (or on it first), in KINDS' order. Raises UserError if there are none."""
    of = {against: list(rewards)[:1] if only_first else rewards for against, rewards in REWARDS.items()}
    found = {kind: [name for name, (_, against, _) in methods.items() if kind in of[against]] for kind in KINDS if kind in kinds}
    found = {kind: names for kind, names in found.items() if names}
    if not found:
        there = "; ".join(f"{against}: {' or '.join(rewards)}" for against, rewards in REWARDS.items())
        raise UserError(f"rewards: none of {', '.join(methods)} is trained on {', '.join(kinds)}. Their baselines are trained on {there}.", "rewards")
    return found


def earlier(where: Path) -> dict[str, dict[str, list]]:
    """The tracks of an earlier comparison in this folder, which a later one of other methods or rewards adds to."""
    from ..evaluation import Measure

    kept = where / "results.json"
    if not kept.exists():
        return {}
    tracks = json.loads(kept.read_text())["tracks"]
    return {kind: {name: [[Measure(**m) for m in track] for track in found] for name, found in methods.items() if name in METHODS} for kind, methods in tracks.items()}


def chosen(names: Iterable[str]) -> dict[str, tuple]:
    """The methods of these names with their baselines, in METHODS' order. Raises UserError."""
    for name in names:
        if name not in METHODS:
            raise UserError(f"methods: {name!r} is unknown. Use {'; '.join(METHODS)}.", "methods")
    wanted = {*names, *(METHODS[name][1] for name in names)}
    return {name: method for name, method in METHODS.items() if name in wanted}


def write(tracks: dict[str, dict[str, list]], where: Path) -> None:
    """table.md, results.json and a figure a reward, from what has been measured so far."""
    from dataclasses import asdict

    rows = [row for kind, found in tracks.items() for row in compare(kind, found)]
    folder.write_atomically(where / "results.json", json.dumps({
        "rows": rows, "tracks": {kind: {name: [[asdict(m) for m in t] for t in ts] for name, ts in found.items()} for kind, found in tracks.items()},
    }, indent=1))
    lines = [
        "| reward | method | against | seeds | reward gained | looks kept of base | more looks at equal reward: clip | pixels | more reward at equal looks: clip | pixels "
        f"| looks kept at {GAIN:.0%} of what the other had gained when it kept {LEFT:.0%}: clip | pixels |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        shown = [_spread(r[key]) for key in ("more_looks_clip", "more_looks_pixels", "more_reward_clip", "more_reward_pixels", "kept_clip", "kept_pixels")]
        if r["method"] == r["against"]:
            shown = ["" for _ in shown]
        gain = f"{median(r['gain']):.2f}"
        lines.append(f"| {r['reward']} | {r['method']} | {r['against']} | {len(r['gain'])} | {gain} | {_spread(r['kept'])} | {' | '.join(shown)} |")
    folder.write_atomically(where / "table.md", "\n".join(lines) + "\n")
    for kind, found in tracks.items():
        folder.write_atomically(where / f"{kind}.html", figure(kind, found))


def compare(kind: str, found: dict[str, list]) -> list[dict]:
    """One row a method; every value is a list over the seeds that it and its baseline both have."""
    from ..proof import at_equal_reward, gain_at_equal_variety, kept_near_gain

    rows = []
    for name, tracks in found.items():
        against = METHODS[name][1]
        pairs = list(zip(tracks, found[against]))
        row = {"reward": kind, "method": name, "against": against, "gain": [t[-1].reward - t[0].reward for t, _ in pairs], "kept": [t[-1].clip / t[0].clip for t, _ in pairs]}
        for space in ("clip", "pixels"):
            row[f"more_looks_{space}"] = [at_equal_reward(t, b, space) for t, b in pairs]
            row[f"more_reward_{space}"] = [gain_at_equal_variety(t, b, space) for t, b in pairs]
            row[f"kept_{space}"] = [kept_near_gain(t, b, space, left=LEFT, gain=GAIN) for t, b in pairs]
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


def _spread(values: list[float]) -> str:
    """Median (smallest to largest), in per cent; of the seeds that came so far. A mean would be that of the seed whose baseline gained next to nothing."""
    known = [v for v in values if isfinite(v)]
    if not known:
        return "not reached"
    return f"{median(known):.0%} ({min(known):.0%} to {max(known):.0%}){'' if len(known) == len(values) else f', {len(known)} of {len(values)}'}"


def _slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")
