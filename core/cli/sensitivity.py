"""Which denoising steps carry the variety: `python -m core bench sensitivity`."""

from __future__ import annotations

import argparse
import json

from ..config import RunConfig, parse_assignments
from ..errors import UserError
from ..presets import load_preset
from ..runs import folder

PROMPTS = ("cat", "dog", "owl", "flower", "house", "car")
WORDS = {"clip": "CLIP", "pixels": "pixels at 16 x 16"}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", dest="prompts", action="append", metavar="TEXT", help=f"sensitivity: a prompt, may be repeated (default: {', '.join(PROMPTS)})")
    parser.add_argument("--trunks", type=int, default=6, help="sensitivity: rollouts of each prompt whose beginning is held fixed (default 6)")
    parser.add_argument("--branches", type=int, default=8, help="sensitivity: pictures that go on from each of their steps (default 8)")


def run(args: argparse.Namespace) -> int:
    for name, value, least in (("trunks", args.trunks, 2), ("branches", args.branches, 2)):
        if not least <= value <= 256:
            raise UserError(f"{name}: {value}. Use {least} to 256.")
    from .train import check_before_loading

    changes = {**parse_assignments(args.assignments), "prompts": args.prompts or PROMPTS, "prompts_per_iteration": 1}
    config = load_preset(args.preset).with_changes(**changes)
    check_before_loading(config)
    folder.check_disk(args.run_dir)
    args.run_dir.mkdir(parents=True, exist_ok=True)
    import time

    from tqdm import tqdm

    from ..loading import build_trainer
    from ..sensitivity import measure, rollout_steps

    trainer = build_trainer(config)
    begun = time.perf_counter()
    with tqdm(total=rollout_steps(len(config.prompts), config.steps, args.trunks, args.branches), unit="step", leave=False) as bar:
        found = measure(trainer, trunks=args.trunks, branches=args.branches, done=bar.update)
    results = summary(found, config, trainer.levels, seconds=time.perf_counter() - begun)
    folder.write_atomically(args.run_dir / "results.json", json.dumps(results, indent=1))
    folder.write_atomically(args.run_dir / "table.md", text(results))
    folder.write_atomically(args.run_dir / "sensitivity.html", figure(results))
    print(f"{text(results)}\n{args.run_dir}")
    return 0


def third(steps: int) -> int:
    """Steps in the first third, as `sa_reg_steps` counts them."""
    return round(steps / 3)


def summary(found, config: RunConfig, levels: list[float], *, seconds: float) -> dict:
    """What is kept: shares by prompt and trunk, their means and spreads, and the claim's own number."""
    K = third(config.steps)
    spaces = {}
    for space in WORDS:
        shares, carried = found.shares(space), found.carried(K, space)
        by_prompt, by_steps = carried.mean(axis=1), found.carried_by_steps(K, space)
        spaces[space] = {
            "whole_distance": found.whole[space].mean(axis=1).tolist(), "remains": shares.tolist(),
            "mean": shares.mean(axis=(0, 1)).tolist(), "std": shares.std(axis=(0, 1)).tolist(),
            "first_third": {"mean": carried.mean().item(), "std": carried.std().item(), "by_prompt": by_prompt.tolist()},
            "first_third_steps_alone": {"mean": by_steps.mean().item(), "by_prompt": by_steps.tolist()},
        }
    return {
        "model": config.model, "sampler": f"{config.dynamics}, noise level {config.noise_level:g}, {config.steps} steps, guidance {config.guidance:g}",
        "prompts": found.prompts, "trunks": len(found.whole["clip"][0]), "branches": found.branches, "seed": config.seed, "sigmas": levels,
        "first_third_steps": K, "seconds": seconds, "spaces": spaces,
    }


def text(r: dict) -> str:
    pictures = len(r["prompts"]) * r["trunks"] * r["branches"] * len(r["sigmas"])
    lines = [
        f"{r['model']}, {r['sampler']}; {len(r['prompts'])} prompts ({', '.join(r['prompts'])}), {r['trunks']} rollouts of each, "
        f"{r['branches']} pictures from every step of each; {pictures} pictures in {r['seconds'] / 60:.1f} min.", "",
        "Mean distance between pictures that share the beginning, over that of pictures that share nothing; mean and standard deviation over prompts and rollouts.", "",
        "| held fixed | noise level there | " + " | ".join(f"remains, {WORDS[s]}" for s in r["spaces"]) + " |",
        "|---|---|" + "---|" * len(r["spaces"]), "| nothing | |" + " 100% |" * len(r["spaces"]),
    ]
    for i in range(len(r["sigmas"]) - 1):
        cells = " | ".join(f"{s['mean'][i]:.0%} ± {s['std'][i]:.0%}" for s in r["spaces"].values())
        lines.append(f"| {_held(i)} | {r['sigmas'][i]:.2f} | {cells} |")
    K = r["first_third_steps"]
    lines += ["", f"The first third ({K} of {len(r['sigmas']) - 1} steps) carries, mean over prompts (lowest to highest prompt):", ""]
    for space, s in r["spaces"].items():
        whole, alone = s["first_third"], s["first_third_steps_alone"]
        lines.append(f"- {WORDS[space]}: {_range(whole)} with the first noise, {_range(alone)} of what the noise of the steps decides.")
    return "\n".join(lines) + "\n"


def _held(i: int) -> str:
    return "the first noise" if i == 0 else "and step 1" if i == 1 else f"and steps 1 to {i}"


def _range(part: dict) -> str:
    return f"{part['mean']:.0%} ({min(part['by_prompt']):.0%} to {max(part['by_prompt']):.0%})"


def figure(r: dict) -> str:
    """An HTML page: what remains against what is held fixed, a band of one standard deviation, prompts as faint lines."""
    import numpy as np
    import plotly.graph_objects as go

    T = len(r["sigmas"]) - 1
    x = list(range(-1, T))
    drawn = go.Figure()
    for (space, s), colour, dash in zip(r["spaces"].items(), ("31, 90, 150", "190, 80, 20"), ("solid", "dash")):
        mean, std = (np.concatenate([[start], s[key]]) for key, start in (("mean", 1.0), ("std", 0.0)))
        drawn.add_scatter(
            x=x + x[::-1], y=[*(mean + std), *(mean - std)[::-1]], fill="toself", fillcolor=f"rgba({colour}, 0.12)", line={"width": 0}, hoverinfo="skip", showlegend=False,
        )
        for prompt, rows in zip(r["prompts"], s["remains"]):
            drawn.add_scatter(x=x, y=[1.0, *np.mean(rows, axis=0)], mode="lines", line={"color": f"rgba({colour}, 0.35)", "width": 1, "dash": dash}, name=prompt, showlegend=False)
        drawn.add_scatter(x=x, y=mean, mode="lines+markers", line={"color": f"rgb({colour})", "width": 2.5, "dash": dash}, name=WORDS[space])
    drawn.add_vline(x=r["first_third_steps"], line={"width": 1, "dash": "dot"}, annotation_text="first third")
    drawn.update_layout(
        title=f"Variety that remains when the beginning is held fixed · {r['model']}", template="simple_white",
        xaxis={"title": "steps held fixed, after the first noise", "tickvals": x, "ticktext": ["nothing", *map(str, range(T))]},
        yaxis={"title": "mean distance between pictures, share of the whole", "tickformat": ".0%", "rangemode": "tozero"},
    )
    return drawn.to_html(include_plotlyjs=True)
