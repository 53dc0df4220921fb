"""The table of all diversity metrics for a few sets of pictures (base, tuned, ...) on the same prompts and equal numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor

from .codebook import Codebook
from .distance import mean_pairwise, pairwise
from .features import checked
from .fidelity import fidelity, frechet_distance
from .inception import inception_score
from .metrics import base_scale, variety, vendi
from .retrieval import RetrievalScore, adjusted, retrieval_score
from .structure import luminance, ssim_diversity

POOLED = "pooled over prompts"
AVERAGED = "per prompt, then averaged"
ORDERS = (1, 2, math.inf)  # of the Vendi score

PerPrompt = Mapping[str, Tensor]


@dataclass(frozen=True)
class Pictures:
    """What one model drew, N pictures for each prompt, measured from the same files throughout.

    spaces: name of a feature space (with its variant, such as 'DreamSim ensemble') -> prompt -> features (N, F). Give two
    at least: one may have been paid for in training, and a metric that was optimised is no evidence; the other is held out.
    images: prompt -> (N, 3, H, W) in [0, 1], or empty: then no SSIM.
    probabilities: name of a classifier -> prompt -> (N, C), or empty: then no Inception Score.
    """

    spaces: Mapping[str, PerPrompt]
    images: PerPrompt = field(default_factory=dict)
    probabilities: Mapping[str, PerPrompt] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One number. n: pictures that went into it at a time, N of each prompt or N * prompts pooled. against: the reference set, or None."""

    set: str
    metric: str
    space: str
    scope: str
    n: int
    value: float
    against: str | None = None


def report(
    sets: Mapping[str, Pictures],
    *,
    base: str,
    reference: str | None = None,
    codebook: Codebook | None = None,
    k: int = 5,
    splits: int = 10,
    level: float = 0.05,
    seed: int = 0,
) -> list[Row]:
    """Every metric of every set, in every space, as rows; a metric over all prompts together and its mean over prompts are apart.

    base: the set whose distances scale the stretched Vendi score, and which counts as real in the adjusted IRS.
    reference: the set to measure drift from, or None: then no precision, recall, density, coverage, Frechet distance or IRS.
    It should be the base model on the same prompts with other seeds (our choice); it is not compared with itself, and the
    base's own rows against it say how large the numbers are without any drift. Where only two sets exist it may be the base
    itself: then nothing says how large they are without drift, nothing adjusts the IRS, and equal seeds make them look nearer.
    codebook: fitted once on the base in one of the spaces, or None. k: neighbours of `fidelity`. splits, seed: of
    `inception_score`. level: of the IRS bounds.
    Always read these beside the reward: a model that learnt less looks more varied.
    Pooled mean distances and SSIM pairs make it O((N prompts)^2) memory and O(prompts N^2) SSIMs.
    Raises ValueError unless all sets have the same spaces, prompts and number of pictures, at least 2.
    """
    count, prompts = _check(sets, base, reference, codebook)
    rows = []
    for space in sets[base].spaces:
        features = {name: pictures.spaces[space] for name, pictures in sets.items()}
        together = {name: _pool(table, prompts) for name, table in features.items()}  # (N prompts, F)
        scales = {prompt: base_scale(_distances(features[base][prompt])) for prompt in prompts}
        for name, table in features.items():
            rows += [Row(name, metric, space, POOLED, len(together[name]), value) for metric, value in _cosine_metrics(together[name]).items()]
            found = [_prompt_metrics(table[prompt], scales[prompt]) for prompt in prompts]
            if codebook is not None and codebook.space == space:
                found = [metrics | _codebook_metrics(codebook, table[prompt]) for metrics, prompt in zip(found, prompts)]
            rows += [Row(name, metric, space, AVERAGED, count, fmean(metrics[metric] for metrics in found)) for metric in found[0]]
        if reference is not None:
            real = together.pop(reference)
            scores = {name: retrieval_score(fake, real, level) for name, fake in together.items()}
            for name, fake in together.items():
                metrics = _drift_metrics(real, fake, k) | _retrieval_metrics(scores[name], scores.get(base), level)
                rows += [Row(name, metric, space, POOLED, len(fake), value, reference) for metric, value in metrics.items()]
    for name, pictures in sets.items():
        for classifier, table in pictures.probabilities.items():
            probabilities = _pool(table, prompts)
            score = inception_score(probabilities, splits=splits, seed=seed)
            rows.append(Row(name, f"Inception Score, mean of {splits} splits", classifier, POOLED, len(probabilities), score.mean))
            rows.append(Row(name, f"Inception Score, std of {splits} splits", classifier, POOLED, len(probabilities), score.std))
        if pictures.images:
            grey = [luminance(pictures.images[prompt]) for prompt in prompts]
            height, width = grey[0].shape[-2:]
            value = fmean(ssim_diversity(one) for one in grey)
            rows.append(Row(name, "SSIM diversity (1 - mean SSIM)", f"luma {height} x {width}", AVERAGED, count, value))
    return rows


def _cosine_metrics(features: Tensor) -> dict[str, float]:
    """Cosine metrics of features (n, F)."""
    vendis = {f"Vendi score, cosine kernel, q = {q}": vendi(features, q=q) for q in ORDERS}
    return {"mean pairwise distance (1 - cosine)": mean_pairwise(_distances(features)[None]).item()} | vendis


def _prompt_metrics(features: Tensor, scale: float) -> dict[str, float]:
    """The same of the features (N, F) of one prompt, and the stretched Vendi score that runs show."""
    stretched = variety(_distances(features)[None], scale).item()
    return _cosine_metrics(features) | {"Vendi score, kernel exp(-d / base median), q = 1": stretched}


def _codebook_metrics(codebook: Codebook, features: Tensor) -> dict[str, float]:
    found, k = codebook.occupancy(features), len(codebook.centres)
    return {
        f"cluster entropy H, codebook of {k}": found.entropy,
        f"effective clusters exp(H), codebook of {k}": found.effective,
        f"non-empty clusters, codebook of {k}": found.occupied,
    }


def _drift_metrics(real: Tensor, fake: Tensor, k: int) -> dict[str, float]:
    return {f"{name}, k = {k}": value for name, value in asdict(fidelity(real, fake, k)).items()} | {"Frechet distance": frechet_distance(real, fake)}


def _retrieval_metrics(score: RetrievalScore, held_out: RetrievalScore | None, level: float) -> dict[str, float]:
    low, high = score.irs_inf_bounds
    return {
        f"IRS_alpha, alpha = {score.queries / score.size:g}": score.irs_alpha,
        "IRS_inf": score.irs_inf,
        f"IRS_inf, lower bound at {level:g}": low,
        f"IRS_inf, upper bound at {level:g}": high,
    } | ({} if held_out is None else {"IRS_inf, adjusted": adjusted(score, held_out)})


def _distances(features: Tensor) -> Tensor:
    """Cosine distances of features (n, F): (n, n) float64."""
    return pairwise(F.normalize(features.double(), dim=-1))


def _pool(table: PerPrompt, prompts: list[str]) -> Tensor:
    """(N, F) of each prompt -> (N prompts, F)."""
    return torch.cat([table[prompt] for prompt in prompts])


def _check(sets: Mapping[str, Pictures], base: str, reference: str | None, codebook: Codebook | None) -> tuple[int, list[str]]:
    """Number of pictures per prompt, and the prompts. Raises ValueError where sets differ in what makes numbers comparable."""
    for role, name in (("base", base), ("reference", reference)):
        if name is not None and name not in sets:
            raise ValueError(f"{role} is {name!r}, which is none of the sets {', '.join(sets)}.")
    spaces = sets[base].spaces
    if not spaces or not all(spaces.values()):
        raise ValueError(f"{base} has no features; give at least one space with one prompt.")
    if codebook is not None and codebook.space not in spaces:
        raise ValueError(f"the codebook is of {codebook.space}, which is none of the spaces {', '.join(spaces)}.")
    expected = _tables(sets[base])
    prompts = list(next(iter(spaces.values())))
    count = len(next(iter(spaces.values()))[prompts[0]])
    for name, pictures in sets.items():
        tables = _tables(pictures)
        if tables.keys() != expected.keys():
            raise ValueError(f"{name} has {', '.join(tables)}, but {base} has {', '.join(expected)}; give all sets the same.")
        for what, table in tables.items():
            if table.keys() != set(prompts):
                raise ValueError(f"{name}, {what}: the prompts differ from those of {base}; draw all sets for the same prompts.")
            for prompt, values in table.items():
                if len(values) != count:
                    raise ValueError(
                        f"{name}, {what}, prompt {prompt!r}: {len(values)} pictures where {base} has {count}; "
                        "these metrics depend on the number, so draw the same of all."
                    )
        for space, table in pictures.spaces.items():
            for prompt, features in table.items():
                if not checked(features, f"{name}, {space}, prompt {prompt!r}", 2).any(dim=1).all():
                    raise ValueError(f"{name}, {space}, prompt {prompt!r}: a feature vector is all zeros and has no direction; check that picture.")
    return count, prompts


def _tables(pictures: Pictures) -> dict[str, PerPrompt]:
    """All that was given of a set, by what it is."""
    tables = {f"space {name}": table for name, table in pictures.spaces.items()}
    tables |= {f"classifier {name}": table for name, table in pictures.probabilities.items()}
    return tables | ({"images": pictures.images} if pictures.images else {})
