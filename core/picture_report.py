"""Every diversity metric of pictures in files: sets of equal prompts and numbers, in named feature spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F

from .diversity.codebook import Codebook
from .diversity.perceptual import Perceptual
from .diversity.report import AVERAGED, Pictures, Row, report
from .errors import UserError
from .picture_files import Pile
from .rewards.registry import RewardSet
from .rewards.style import StyleProbe

SIDE = 16
PIXELS = f"pixels {SIDE} x {SIDE}, less mid-grey"
NEIGHBOURS, SPLITS = 5, 10  # of precision and its kin; of the Inception Score
AT_ONCE = 64  # pictures embedded at a time

Files = Mapping[str, list[Path]]  # prompt -> its pictures


def pixel_features(images: torch.Tensor) -> torch.Tensor:
    """Pictures (N, 3, H, W) in [0, 1] -> (N, 768): themselves at 16 x 16, less mid-grey.

    Held out: no bonus is paid in it. A cosine needs an origin, and mid-grey is one that depends on no model: taken from the
    base's mean picture, a model that draws nothing but that picture would differ by noise alone and look varied.
    """
    return F.adaptive_avg_pool2d(images.float().cpu(), SIDE).flatten(1) - 0.5


def pictures(files: Files, perceptual: Perceptual, probe: StyleProbe | None) -> Pictures:
    """What `report` asks of one set. Reads every file once for the features; SSIM reads it again."""
    pile = Pile(files)
    embedders = {perceptual.name: perceptual.embed, PIXELS: pixel_features}
    spaces = {name: {} for name in embedders}
    classes = {}
    for prompt in pile:
        images = pile[prompt]
        for name, embed in embedders.items():
            spaces[name][prompt] = _in_parts(embed, images)
        if probe is not None:
            classes[prompt] = _in_parts(lambda part: probe(part.to(next(probe.parameters()).device)).softmax(dim=1), images)
    return Pictures(spaces, pile, {} if probe is None else {f"style probe, {len(probe.styles) + 1} classes": classes})


@torch.no_grad()
def _in_parts(embed: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    return torch.cat([embed(part).cpu() for part in images.split(AT_ONCE)])


def measure(sets: Mapping[str, Files], perceptual: Perceptual, probe: StyleProbe | None, *, base: str, reference: str | None, codebook: int) -> list[Row]:
    """The rows of `report`; the codebook has `codebook` entries, fewer if the base has under four pictures for each.

    It is fitted on the base's files by a fixed seed, so that reports of the same base share it. Raises UserError.
    """
    found = {name: pictures(files, perceptual, probe) for name, files in sets.items()}
    sizes = {name: p.images.size for name, p in found.items()}
    for name, size in sizes.items():
        if size != sizes[base]:
            (h, w), (height, width) = size, sizes[base]
            raise UserError(f"{name}: the pictures are {w} x {h}, those of {base} {width} x {height}. Save both at the same size: SSIM and others depend on it.")
    pooled = torch.cat(list(found[base].spaces[perceptual.name].values()))
    entries = min(codebook, max(1, len(pooled) // 4), len(F.normalize(pooled.double(), dim=1).unique(dim=0)))
    try:
        book = Codebook.fit(pooled, perceptual.name, k=entries)
        return report(found, base=base, reference=reference, codebook=book, k=NEIGHBOURS, splits=min(SPLITS, len(pooled)))
    except ValueError as error:  # pictures that have no number, such as sets too small for k neighbours
        raise UserError(f"report: {error}") from None


@torch.no_grad()
def reward_rows(sets: Mapping[str, Files], rewards: RewardSet, texts: Mapping[str, str]) -> list[Row]:
    """Mean reward of the same files: raw by name, and the weighted sum on the run's scale. texts: prompt -> what was asked for."""
    rows = []
    total = " + ".join(f"{weight:g} {name}" for name, weight in rewards.weights.items())
    for name, files in sets.items():
        pile = Pile(files)
        raw = {kind: [] for kind in rewards.weights}
        for prompt in pile:
            for part in pile[prompt].split(AT_ONCE):
                for kind, values in rewards(part, [texts[prompt]] * len(part)).raw.items():
                    raw[kind].append(values.cpu())
        scores = {kind: torch.cat(values) for kind, values in raw.items()}
        count = len(next(iter(files.values())))
        rows += [Row(name, "mean reward, raw", kind, AVERAGED, count, values.nanmean().item()) for kind, values in scores.items()]
        rows.append(Row(name, "mean reward (0 = base mean, 1 = one base spread, as trained)", total, AVERAGED, count, rewards.combine(scores).nanmean().item()))
    return rows


def table(rows: list[Row]) -> str:
    """Text: a block for each feature space and n, a line a metric, a column a set."""
    names = list(dict.fromkeys(row.set for row in rows))
    blocks: dict[tuple, dict[str, dict[str, float]]] = {}
    for row in rows:
        block = blocks.setdefault((row.space, row.scope, row.n, row.against), {})
        block.setdefault(row.metric, {})[row.set] = row.value
    width = max(len(row.metric) for row in rows) + 2
    columns = [max(len(name), 10) + 2 for name in names]
    lines = []
    for (space, scope, n, against), metrics in blocks.items():
        title = f"{space} · {scope} · n = {n}" + (f" · against {against}" if against else "")
        lines += ["", title, " " * (width + 2) + "".join(f"{name:>{c}}" for name, c in zip(names, columns))]
        for metric, values in metrics.items():
            cells = (f"{_shown(values[name]) if name in values else '':>{c}}" for name, c in zip(names, columns))
            lines.append(f"  {metric:{width}}" + "".join(cells))
    return "\n".join(lines[1:])


def _shown(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.0f}"
