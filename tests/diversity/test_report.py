import math
from dataclasses import replace

import pytest
import torch

from core.diversity.codebook import Codebook
from core.diversity.fidelity import fidelity, frechet_distance
from core.diversity.metrics import vendi
from core.diversity.report import AVERAGED, POOLED, Pictures, report
from core.diversity.retrieval import retrieval_score

PROMPTS = ("cat", "tree", "cup")
N = 8


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def drawn(seed, *, spread=1.0, count=N) -> Pictures:
    """Pictures of each prompt around the prompt's own direction."""
    space = lambda width, salt: {p: 3 * random(width, seed=salt + i) + spread * random(count, width, seed=seed + salt + i) for i, p in enumerate(PROMPTS)}
    images = {p: (0.5 + 0.2 * spread * random(count, 3, 16, 16, seed=seed + i)).clamp(0, 1) for i, p in enumerate(PROMPTS)}
    classes = {p: (2 * random(count, 4, seed=seed + i)).softmax(dim=1) for i, p in enumerate(PROMPTS)}
    return Pictures({"clip": space(12, 1000), "pixels": space(7, 2000)}, images, {"classifier": classes})


SETS = {"base": drawn(0), "other seeds": drawn(100), "tuned": drawn(200, spread=0.3)}


@pytest.fixture(scope="module")
def rows():
    codebook = Codebook.fit(torch.cat(list(SETS["base"].spaces["clip"].values())), "clip", k=6)
    return report(SETS, base="base", reference="other seeds", codebook=codebook, k=3, splits=2)


def value(rows, name, metric, space, scope):
    (row,) = [r for r in rows if (r.set, r.metric, r.space, r.scope) == (name, metric, space, scope)]
    return row.value


def test_every_row_names_metric_space_and_n_and_there_is_one_of_each(rows):
    assert len({(r.set, r.metric, r.space, r.scope) for r in rows}) == len(rows)
    for row in rows:
        assert row.metric and row.space and math.isfinite(row.value), row
        assert row.n == {POOLED: N * len(PROMPTS), AVERAGED: N}[row.scope], row
    assert {r.space for r in rows} == {"clip", "pixels", "luma 16 x 16", "classifier"}


def test_all_sets_have_the_same_rows_save_the_reference_against_itself(rows):
    kinds = {name: {(r.metric, r.space, r.scope) for r in rows if r.set == name} for name in SETS}
    against = {(r.metric, r.space, r.scope) for r in rows if r.against is not None}
    assert kinds["base"] == kinds["tuned"] and kinds["base"] - kinds["other seeds"] == against
    assert {metric for metric, _, _ in against} == {
        "precision, k = 3", "recall, k = 3", "density, k = 3", "coverage, k = 3", "Frechet distance",
        "IRS_alpha, alpha = 1", "IRS_inf", "IRS_inf, lower bound at 0.05", "IRS_inf, upper bound at 0.05", "IRS_inf, adjusted",
    }
    assert all(r.against in (None, "other seeds") for r in rows)


@pytest.mark.parametrize("q", [1, 2, math.inf])
def test_pooled_and_averaged_are_both_there_and_differ(rows, q):
    features = SETS["tuned"].spaces["pixels"]
    pooled = vendi(torch.cat([features[p] for p in PROMPTS]), q=q)
    averaged = sum(vendi(features[p], q=q) for p in PROMPTS) / 3
    assert pooled > averaged + 0.1
    metric = f"Vendi score, cosine kernel, q = {q}"
    assert value(rows, "tuned", metric, "pixels", POOLED) == pytest.approx(pooled)
    assert value(rows, "tuned", metric, "pixels", AVERAGED) == pytest.approx(averaged)


def test_mean_distance_by_hand(rows):
    features = SETS["base"].spaces["clip"]
    cosine = torch.nn.functional.cosine_similarity

    def mean(group):
        return sum(1 - cosine(group[i], group[j], dim=0).item() for i in range(len(group)) for j in range(i)) / (len(group) * (len(group) - 1) / 2)

    metric = "mean pairwise distance (1 - cosine)"
    assert value(rows, "base", metric, "clip", AVERAGED) == pytest.approx(sum(mean(features[p]) for p in PROMPTS) / 3, abs=1e-5)
    assert value(rows, "base", metric, "clip", POOLED) == pytest.approx(mean(torch.cat([features[p] for p in PROMPTS])), abs=1e-5)


def test_drift_is_measured_from_the_reference_not_to_it(rows):
    together = {name: torch.cat([SETS[name].spaces["clip"][p] for p in PROMPTS]) for name in SETS}
    found = fidelity(together["other seeds"], together["tuned"], 3)
    assert found != fidelity(together["tuned"], together["other seeds"], 3)
    for metric in ("precision", "recall", "density", "coverage"):
        assert value(rows, "tuned", f"{metric}, k = 3", "clip", POOLED) == getattr(found, metric)
    assert value(rows, "tuned", "Frechet distance", "clip", POOLED) == pytest.approx(frechet_distance(together["tuned"], together["other seeds"]))
    score, real = (retrieval_score(together[name], together["other seeds"]) for name in ("tuned", "base"))
    assert score.reachable != real.reachable
    assert value(rows, "tuned", "IRS_alpha, alpha = 1", "clip", POOLED) == score.irs_alpha
    assert value(rows, "tuned", "IRS_inf", "clip", POOLED) == score.irs_inf
    assert value(rows, "tuned", "IRS_inf, upper bound at 0.05", "clip", POOLED) == score.irs_inf_bounds[1]
    assert value(rows, "tuned", "IRS_inf, adjusted", "clip", POOLED) == pytest.approx(score.irs_inf / real.irs_inf)
    assert value(rows, "base", "IRS_inf, adjusted", "clip", POOLED) == 1


def test_a_narrower_model_scores_lower_everywhere(rows):
    for metric, space, scope in {(r.metric, r.space, r.scope) for r in rows if r.metric.startswith(("Vendi", "mean pairwise", "SSIM"))}:
        if scope == AVERAGED:
            assert value(rows, "tuned", metric, space, scope) < value(rows, "base", metric, space, scope), metric


def test_the_stretched_kernel_is_scaled_by_the_base(rows):
    unit = lambda name, p: torch.nn.functional.normalize(SETS[name].spaces["clip"][p].double(), dim=1)

    def stretched(scaled_by):
        total = 0.0
        for p in PROMPTS:
            apart = torch.pdist(unit(scaled_by, p)).square() / 2
            mine = torch.cdist(unit("tuned", p), unit("tuned", p)).square() / 2
            total += vendi(kernel=torch.exp(-mine / apart.quantile(0.5, interpolation="lower")))
        return total / len(PROMPTS)

    found = value(rows, "tuned", "Vendi score, kernel exp(-d / base median), q = 1", "clip", AVERAGED)
    assert found == pytest.approx(stretched("base"), rel=1e-6)
    assert found < 0.8 * stretched("tuned")  # by its own scale, a set that shrank evenly scores about as the base


def test_a_codebook_speaks_of_its_own_space_only(rows):
    assert {(r.space, r.scope) for r in rows if "codebook of 6" in r.metric} == {("clip", AVERAGED)}
    entropy = value(rows, "base", "cluster entropy H, codebook of 6", "clip", AVERAGED)
    assert 0 < entropy <= math.log(6)
    assert 1 < value(rows, "base", "non-empty clusters, codebook of 6", "clip", AVERAGED) <= 6


def test_a_collapsed_set_has_numbers_not_nan():
    same = lambda table: {p: x[:1].expand_as(x) for p, x in table.items()}
    tuned = SETS["tuned"]
    collapsed = replace(tuned, spaces={s: same(t) for s, t in tuned.spaces.items()}, images=same(tuned.images), probabilities={})
    sets = {name: replace(p, probabilities={}) for name, p in SETS.items()} | {"collapsed": collapsed}
    rows = report(sets, base="base", reference="other seeds", k=3)
    assert all(math.isfinite(r.value) for r in rows)
    assert value(rows, "collapsed", "Vendi score, cosine kernel, q = 1", "clip", AVERAGED) == pytest.approx(1, abs=1e-6)
    assert value(rows, "collapsed", "recall, k = 3", "clip", POOLED) == 0
    assert value(rows, "collapsed", "SSIM diversity (1 - mean SSIM)", "luma 16 x 16", AVERAGED) == pytest.approx(0, abs=1e-6)


def changed(table, prompt, new):
    return {**table, prompt: new}


def test_two_sets_alone_are_measured_against_the_first():
    sets = {name: SETS[name] for name in ("base", "tuned")}
    rows = report(sets, base="base", reference="base", k=3, splits=2)
    against = {(r.set, r.against) for r in rows if r.against is not None}
    assert against == {("tuned", "base")} and not [r for r in rows if "adjusted" in r.metric]
    together = [torch.cat([sets[name].spaces["pixels"][p] for p in PROMPTS]) for name in ("base", "tuned")]
    assert value(rows, "tuned", "coverage, k = 3", "pixels", POOLED) == fidelity(*together, 3).coverage


BASE = SETS["base"]
CLIP = BASE.spaces["clip"]


@pytest.mark.parametrize(
    ("tuned", "words"),
    [
        (drawn(5, count=N - 1), "tuned, space clip, prompt 'cat': 7 pictures where base has 8"),
        (replace(BASE, images=changed(BASE.images, "tree", BASE.images["tree"][:5])), "tuned, images, prompt 'tree': 5"),
        (replace(BASE, images={p: BASE.images[p] for p in ("cat", "cup")}), "tuned, images: the prompts differ"),
        (replace(BASE, spaces={"clip": CLIP}), "tuned has space clip, .* give all sets the same"),
        (replace(BASE, images={}), "tuned has .* give all sets the same"),
        (replace(BASE, spaces=BASE.spaces | {"clip": changed(CLIP, "cup", CLIP["cup"] * math.nan)}), "tuned, clip, prompt 'cup': 8 of 8"),
        (replace(BASE, spaces=BASE.spaces | {"clip": changed(CLIP, "cup", CLIP["cup"] * 0)}), "tuned, clip, prompt 'cup': .* all zeros"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(tuned, words):
    with pytest.raises(ValueError, match=words):
        report({"base": BASE, "tuned": tuned}, base="base", splits=2)


def test_roles_must_name_sets():
    with pytest.raises(ValueError, match="base is 'nobody'"):
        report(SETS, base="nobody")
    with pytest.raises(ValueError, match="reference is 'nobody'"):
        report(SETS, base="base", reference="nobody")
    with pytest.raises(ValueError, match="codebook is of dinosaurs"):
        report(SETS, base="base", codebook=Codebook(torch.eye(12), "dinosaurs"))
    with pytest.raises(ValueError, match="no features"):
        report({"base": Pictures({})}, base="base")
