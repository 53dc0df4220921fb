"""python -m core bench sensitivity: the remaining variety against a chain whose variances are known, and the command itself."""

import json
from types import SimpleNamespace

import models
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import toy

from core import sensitivity
from core.cli import main
from core.cli.sensitivity import third
from core.config import build
from core.training import Trainer

STEPS = 6


@pytest.fixture
def linear_trainer():
    """A model whose velocity is 0.3 x: every picture is Gaussian, each step adds its own share of the variance."""
    backbone = toy.ToyBackbone((3, 16, 16), lambda x, sigma: 0.3 * x)
    embed = lambda images: F.normalize(images.flatten(1), dim=1)
    config = build({"prompts": ["cat", "dog"], "steps": STEPS, "noise_level": 0.7, "micro_batch": 7})
    return Trainer(config, backbone, None, SimpleNamespace(name="flat", embed=embed))


def variances(schedule, level=0.7):
    """Of the last latents: what the first noise and what each stochastic step adds to it, as the chain is linear."""
    parts = [1.0]
    for i in range(STEPS):
        stochastic = i < STEPS - 1
        c_x, c_v = schedule.mean_coefficients(i, "flow_sde" if stochastic else "ode", level if stochastic else 0.0)
        parts = [(c_x + 0.3 * c_v) ** 2 * part for part in parts]
        parts.append(schedule.std(i, "flow_sde", level) ** 2 if stochastic else 0.0)
    return np.array(parts)


def test_what_remains_is_the_variance_of_the_later_noise(linear_trainer):
    heard = []
    found = sensitivity.measure(linear_trainer, trunks=3, branches=5, done=heard.append)
    parts = variances(linear_trainer.schedule)
    remains = np.array([parts[i + 1 :].sum() / parts.sum() for i in range(STEPS)])
    assert 0.95 > remains[0] > remains[2] > 0.1 and remains[-1] == 0
    # a squared distance of Gaussian pictures is twice their variance; 768 numbers of 10 pairs leave a few per cent
    np.testing.assert_allclose(found.shares("pixels").mean(axis=(0, 1)), remains, rtol=0.05, atol=1e-6)
    np.testing.assert_allclose(found.whole["pixels"], 2 * parts.sum(), rtol=0.15)
    np.testing.assert_allclose(found.carried(2, "pixels").mean(), 1 - remains[2], rtol=0.05)
    np.testing.assert_allclose(found.carried_by_steps(2, "pixels"), 1 - remains[2] / remains[0], rtol=0.1)
    # directions of Gaussian vectors in 768 dimensions: 1 - cosine is the share of the variance that is not common
    np.testing.assert_allclose(found.remains["clip"].mean(axis=(0, 1)), remains, rtol=0.06, atol=1e-6)
    assert sum(heard) == sensitivity.rollout_steps(2, STEPS, 3, 5)


def test_groups_share_their_beginning_and_nothing_else(linear_trainer):
    """The step after which pictures of a trunk are alike is the one that is held fixed; trunks and prompts differ in all."""
    latents = sensitivity._latents(linear_trainer, 0, 2, lambda n: None)
    assert latents.shape == (2, STEPS, 3, 16, 16)
    ends = sensitivity._go_on(linear_trainer, 0, latents[:, STEPS - 1], STEPS - 1, 2, 3, lambda n: None)
    assert torch.allclose(ends[:3], ends[:1].expand(3, -1, -1, -1)) and not torch.allclose(ends[0], ends[3])
    early = [sensitivity._go_on(linear_trainer, p, latents[:, 1], 1, 2, 3, lambda n: None) for p in (0, 1)]
    assert len({float(x.sum()) for x in torch.cat(early)}) == 12
    again = sensitivity._go_on(linear_trainer, 0, latents[:, 1], 1, 2, 3, lambda n: None)
    assert torch.equal(again, early[0])


def test_command_writes_table_json_and_figure(sd3_folder, tiny_clip, tmp_path, capsys):
    settings = {k: v for k, v in models.settings(sd3_folder).items() if k not in ("prompts", "iterations")}
    arguments = [x for key, value in settings.items() for x in ("--set", f"{key}={json.dumps(value)}")]
    assert main(["bench", "sensitivity", *arguments, "--prompt", "cat", "--prompt", "dog", "--trunks", "2", "--branches", "3", "--run-dir", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    clip = results["spaces"]["clip"]
    assert results["first_third_steps"] == third(4) == 1 and np.shape(clip["remains"]) == (2, 2, 4)
    assert clip["mean"][3] == pytest.approx(0, abs=1e-3) and clip["mean"] == pytest.approx(np.mean(clip["remains"], axis=(0, 1)))
    assert clip["first_third"]["by_prompt"] == pytest.approx(1 - np.array(clip["remains"])[:, :, 1].mean(axis=1))
    shown = capsys.readouterr().out
    table = (tmp_path / "out" / "table.md").read_text()
    assert table in shown and f"| the first noise | 1.00 | {clip['mean'][0]:.0%} ± {clip['std'][0]:.0%} |" in table
    page = (tmp_path / "out" / "sensitivity.html").read_text()
    assert "first third" in page and "steps held fixed" in page
