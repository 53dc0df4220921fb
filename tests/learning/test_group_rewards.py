"""From features to advantages, over all leaves: pictures are judged by their group alone, whatever their order (methods.md 12, no. 10)."""

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from core.diversity.bonus import RunningScale, combine, creative_bonus
from core.diversity.clusters import spectral_labels
from core.diversity.distance import pairwise
from core.diversity.metrics import cluster_counts
from core.diversity.shaping import potential, terminal_bonus
from core.learning.advantage import group_advantages
from core.learning.selection import select

P, G = 3, 12
SIZES = ((6, 4, 2), (5, 4, 3), (8, 3, 1))  # pictures of each planted look


def planted(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (P, G, 16) with planted looks, and quality (P, G)."""
    generator = torch.Generator().manual_seed(seed)
    groups = []
    for sizes in SIZES:
        looks = torch.randn(len(sizes), 16, generator=generator).repeat_interleave(torch.tensor(sizes), 0)
        groups.append(looks + 0.05 * torch.randn(G, 16, generator=generator))
    return F.normalize(torch.stack(groups), dim=-1), torch.randn(P, G, generator=generator)


def judged(features: torch.Tensor, quality: torch.Tensor) -> dict[str, torch.Tensor]:
    """All group-level quantities of an iteration, (P, G) each."""
    distances = pairwise(features)
    labels = torch.stack([spectral_labels(d, k=3) for d in distances])
    bonus = creative_bonus(labels, None).to(quality)
    mask = select(quality, "min_variance", keep=8)
    phi = potential(distances, quality, kind="mean_group", gate="above_mean", delta=0.02, mask=mask)
    values = combine(quality, bonus, beta=0.5, mode="zscore_sum", gate="none", running=RunningScale()).values + terminal_bonus(phi, alpha=0.5, gamma=1.0, steps=9).to(quality)
    advantages = group_advantages(values, scope="group", floor=1e-3, mask=mask).values
    return {"labels": labels, "bonus": bonus, "mask": mask, "phi": phi, "advantages": advantages}


@settings(max_examples=15)
@given(seed=st.integers(0, 50), data=st.data())
def test_order_of_pictures_and_groups_does_not_matter(seed, data):
    features, quality = planted(seed)
    plain = judged(features, quality)
    order = torch.tensor(data.draw(st.permutations(range(G))))
    groups = torch.tensor(data.draw(st.permutations(range(P))))
    moved = judged(features[groups][:, order], quality[groups][:, order])
    for name in ("bonus", "mask", "phi", "advantages"):
        torch.testing.assert_close(moved[name].double(), plain[name][groups][:, order].double(), atol=1e-5, rtol=1e-5)


@settings(max_examples=15)
@given(seed=st.integers(0, 50), group=st.integers(0, P - 1))
def test_groups_do_not_see_each_other(seed, group):
    features, quality = planted(seed)
    plain = judged(features, quality)
    other_features, other_quality = planted(seed + 1000)
    features[group], quality[group] = other_features[(group + 1) % P], 5 * other_quality[group]
    changed = judged(features, quality)
    rest = [p for p in range(P) if p != group]
    for name in plain:
        assert torch.equal(changed[name][rest], plain[name][rest]), name
    assert not torch.allclose(changed["advantages"][group], plain["advantages"][group])


@settings(max_examples=15)
@given(seed=st.integers(0, 200))
def test_nothing_is_made_or_lost(seed):
    """Every picture is in one cluster; what the squared bonus pays, n_k G / n_k for each, is G a cluster; advantages sum to zero."""
    features, quality = planted(seed)
    found = judged(features, quality)
    assert [sorted(torch.bincount(labels).tolist(), reverse=True) for labels in found["labels"]] == [list(s) for s in SIZES]
    torch.testing.assert_close(found["bonus"].square().sum(dim=1), (G * cluster_counts(found["labels"])).to(found["bonus"]))
    torch.testing.assert_close(found["advantages"].sum(dim=1), torch.zeros(P), atol=1e-5, rtol=0)
    assert found["mask"].sum(dim=1).tolist() == [8] * P and (found["advantages"][~found["mask"]] == 0).all()
    assert (found["phi"][~found["mask"]] == 0).all()


def test_a_collapsed_group_among_others_gets_nothing_from_variety():
    features, quality = planted(3)
    features[1] = features[1, :1]
    found = judged(features, quality)
    assert found["labels"][1].eq(0).all() and found["phi"][1].abs().max() == 0
    assert found["bonus"][1].tolist() == pytest.approx([1.0] * G)
