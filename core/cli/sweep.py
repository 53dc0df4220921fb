"""A dial at several values, everything else equal: `python -m core bench sweep`. It goes on where it was interrupted."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict

from ..config import FIELDS, RunConfig, parse_assignments
from ..errors import UserError
from ..presets import load_preset
from ..runs import folder
from .own import OWN

SPACES = {"clip": "looks, CLIP", "pixels": "looks, pixels"}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--field", help="sweep: the setting, such as creative_beta or sa_reg_steps")
    parser.add_argument("--values", help="sweep: its values, with commas between")


def run(args: argparse.Namespace) -> int:
    if args.seeds < 1:
        raise UserError(f"seeds: {args.seeds}. Use at least 1.")
    preset = load_preset(args.preset).with_changes(**{**OWN, **parse_assignments(args.assignments)})
    configs = values_of(preset, args.field, args.values)
    from .train import check_before_loading

    check_before_loading(preset)
    where = args.run_dir / f"{args.preset}-{args.field}"
    runs = {value: [folder.Run(where / f"{_slug(value)}-{seed}") for seed in range(args.seeds)] for value in configs}
    for value, config in configs.items():  # before any is trained: an hour later is too late
        for seed, place in enumerate(runs[value]):
            _fits(place, config.with_changes(seed=seed))
    from ..proof import Interrupted, measured, trained

    tracks: dict[object, list[list]] = {value: [] for value in configs}
    for seed in range(args.seeds):  # seed by seed, so that an interrupted sweep is one of fewer seeds
        for value, config in configs.items():
            try:
                # all are measured on the scale of rewards of the first value, which was trained first
                track = measured(trained(runs[value][seed], config.with_changes(seed=seed)), scale=next(iter(runs.values()))[seed])
            except Interrupted as interrupted:
                return interrupted.code
            tracks[value].append(track)
            print(f"{args.field} {value}, seed {seed}: reward {track[-1].reward:.2f}, looks {track[0].clip:.2f} to {track[-1].clip:.2f}", flush=True)
        done = {value: found for value, found in tracks.items() if len(found) > seed}
        results = summary(args.preset, args.field, done)
        folder.write_atomically(where / "results.json", json.dumps(results, indent=1))
        folder.write_atomically(where / "table.md", text(results))
        folder.write_atomically(where / "sweep.html", figure(results))
    print(f"\n{text(results)}\n{where}")
    return 0


def values_of(preset: RunConfig, field: str | None, values: str | None) -> dict[object, RunConfig]:
    """Value -> the preset with it, in the order given. Raises UserError unless there are two that differ and all are allowed."""
    if not field or not values:
        raise UserError("sweep: name a setting and its values, for example --field creative_beta --values 0,0.2,0.4.")
    if field in ("seed", *OWN):
        raise UserError(f"field: {field} is used by the sweep itself. Name another setting.")
    configs = {}
    for word in values.split(","):
        config = preset.with_changes(**parse_assignments([f"{field}={word.strip()}"]))
        value = getattr(config, field)
        if not isinstance(value, (int, float, str, type(None))):
            raise UserError(f"field: {field} is not a single number or word. Name another setting.")
        configs[value] = config
    if len(configs) < 2:
        raise UserError(f"values: {values} is a single value. Give at least two that differ.")
    return configs


def _fits(place: folder.Run, config: RunConfig) -> None:
    """Raises UserError if a run is there that was trained with other settings; it would be measured as if it were this one."""
    if not place.exists():
        return
    there = place.config()
    for name in FIELDS:
        if name not in ("device", "dtype") and getattr(there, name) != getattr(config, name):
            raise UserError(f"{place.path}: the run there has {name} {getattr(there, name)}, not {getattr(config, name)}. Choose another --run-dir, or remove it.", "run_dir")


def _slug(value: object) -> str:
    """A value as part of a run's name, different for different values: 0.2 -> 0_2."""
    return re.sub(r"[^A-Za-z0-9_]", lambda sign: {".": "_", "-": "m", "+": ""}.get(sign[0], "x"), str(value))[:40]


def summary(preset: str, field: str, tracks: dict[object, list[list]]) -> dict:
    """Per value, a list over seeds: what was gained at the end, what was kept of it, and at the reward that all values reach."""
    seeds = min(len(found) for found in tracks.values())
    equal = [min(max(m.reward for m in found[seed]) for found in tracks.values()) for seed in range(seeds)]
    rows = []
    for value, found in tracks.items():
        row = {"value": value, "reward": [track[-1].reward for track in found], "gain": [track[-1].reward - track[0].reward for track in found]}
        for space in SPACES:
            row[space] = [getattr(track[-1], space) for track in found]
            row[f"base_{space}"] = [getattr(track[0], space) for track in found]
            row[f"{space}_at_equal_reward"] = [_looks_at(track, reward, space) for track, reward in zip(found, equal)]
        rows.append(row)
    tracks_kept = {str(value): [[asdict(m) for m in track] for track in found] for value, found in tracks.items()}
    return {"preset": preset, "field": field, "label": FIELDS[field].json_schema_extra["label"], "seeds": seeds, "equal_reward": equal, "rows": rows, "tracks": tracks_kept}


def _looks_at(track: list, reward: float, space: str) -> float:
    """Looks where the track first reaches `reward`: those of the base if it has as much."""
    from ..proof import variety_at_reward

    return getattr(track[0], space) if track[0].reward >= reward else variety_at_reward(track, reward, space)


def text(r: dict) -> str:
    lines = [
        f"{r['preset']}, {r['label']} ({r['field']}), {r['seeds']} {'seeds' if r['seeds'] > 1 else 'seed'}, mean (smallest to largest) at the end of training. "
        f"Looks: effective number, of 48 pictures a prompt. Equal reward: the most that all values reach, {_spread(r['equal_reward'])} base spreads.", "",
        f"| {r['field']} | reward gained | " + " | ".join(f"{words} | at equal reward" for words in SPACES.values()) + " |",
        "|---|---|" + "---|---|" * len(SPACES),
    ]
    for row in r["rows"]:
        cells = " | ".join(f"{_spread(row[space])} | {_spread(row[f'{space}_at_equal_reward'])}" for space in SPACES)
        lines.append(f"| {row['value']} | {_spread(row['gain'])} | {cells} |")
    return "\n".join(lines) + "\n"


def _spread(values: list[float]) -> str:
    mean = sum(values) / len(values)
    return f"{mean:.2f}" if len(values) == 1 else f"{mean:.2f} ({min(values):.2f} to {max(values):.2f})"


def figure(r: dict) -> str:
    """An HTML page: reward gained and looks against the value, means as lines and seeds as points."""
    from plotly.subplots import make_subplots

    panels = {"gain": "reward gained, base spreads", **SPACES}
    values = [row["value"] for row in r["rows"]]
    x = values if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values) else [str(v) for v in values]
    drawn = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for n, (key, words) in enumerate(panels.items(), 1):
        lines = {"at the end of training": (key, "solid")} | ({} if key == "gain" else {"at equal reward": (f"{key}_at_equal_reward", "dash")})
        for name, (column, dash) in lines.items():
            means = [sum(row[column]) / len(row[column]) for row in r["rows"]]
            drawn.add_scatter(x=x, y=means, mode="lines+markers", line={"color": "black", "dash": dash}, name=name, legendgroup=name, showlegend=n == 2, row=n, col=1)
        points = [(at, y) for at, row in zip(x, r["rows"]) for y in row[key]]
        drawn.add_scatter(x=[p[0] for p in points], y=[p[1] for p in points], mode="markers", marker={"color": "grey", "size": 5}, name="each seed", legendgroup="seeds", showlegend=n == 1, row=n, col=1)
        drawn.update_yaxes(title=words, rangemode="tozero", row=n, col=1)
    drawn.update_xaxes(title=f"{r['label']} ({r['field']})", row=len(panels), col=1)
    drawn.update_layout(title=f"{r['preset']}: reward and looks against {r['label'].lower()}", template="simple_white", height=760)
    return drawn.to_html(include_plotlyjs=True)
