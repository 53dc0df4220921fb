import subprocess
import sys

import pytest
import torch

from core.errors import UserError
from core.rewards.names import REGISTRY, check_names
from core.rewards.registry import RewardSet

ALL = {name: 1.0 for name in REGISTRY}


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("def score(images, prompts):\n    return [float(i.mean()) for i in images]\n")
    return str(path)


def test_every_registered_reward_scores_within_its_stated_range(clip_folder, style_folder, own_file, images):
    rewards = RewardSet(ALL, clip_folder=clip_folder, style_folder=style_folder, style="noto", own_file=own_file, device="cpu")
    raw = rewards(images, ["cat"] * 4).raw
    assert list(raw) == list(REGISTRY)
    for name, values in raw.items():
        assert values.dtype == torch.float32 and values.shape == (4,)
        assert (values >= REGISTRY[name].low - 1e-3).all() and (values <= REGISTRY[name].high + 1e-3).all(), name


def test_scaled_base_has_mean_zero_and_spread_one(clip_folder, style_folder):
    rewards = RewardSet({"brightness": 2.0, "colourfulness": -0.5}, clip_folder=clip_folder, style_folder=style_folder)
    base = torch.rand(50, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    raw = rewards(base, [""] * 50).raw
    rewards.fit_scale(raw)
    scaled = rewards.scaled(raw)
    for values in scaled.values():
        assert float(values.mean()) == pytest.approx(0, abs=1e-4)
        assert float(values.std(correction=0)) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(rewards.combine(raw), 2 * scaled["brightness"] - 0.5 * scaled["colourfulness"])


def test_not_scored_stays_not_scored_and_is_left_out_of_the_scale(clip_folder, style_folder):
    rewards = RewardSet({"brightness": 1.0}, clip_folder=clip_folder, style_folder=style_folder)
    rewards.fit_scale({"brightness": torch.tensor([1.0, 3.0, float("nan")])})
    assert rewards.state_dict() == {"brightness.mean": 2.0, "brightness.std": 1.0}
    combined = rewards.combine({"brightness": torch.tensor([float("nan"), 4.0])})
    assert combined.isnan().tolist() == [True, False] and combined[1] == 2


@pytest.mark.parametrize("base", [[0.7] * 9, [0.0] * 9, [float("nan")] * 3])
def test_constant_base_is_not_divided_by_its_rounding_noise(clip_folder, style_folder, base):
    rewards = RewardSet({"brightness": 1.0}, clip_folder=clip_folder, style_folder=style_folder)
    rewards.fit_scale({"brightness": torch.tensor(base)})
    assert rewards.std["brightness"] == 1


def test_scale_survives_a_checkpoint(clip_folder, style_folder, images):
    one, other = (RewardSet({"brightness": 1.0, "incompressibility": 0.3}, clip_folder=clip_folder, style_folder=style_folder) for _ in range(2))
    raw = one(images, [""] * 4).raw
    with pytest.raises(RuntimeError, match="fit_scale"):
        one.combine(raw)
    one.fit_scale(raw)
    other.load_state_dict(one.state_dict())
    assert all(type(v) is float for v in one.state_dict().values())
    assert torch.equal(one.combine(raw), other.combine(raw))


def test_range_and_count_are_checked_before_any_reward_runs(clip_folder, style_folder, images):
    rewards = RewardSet({"clip_score": 1.0}, clip_folder=clip_folder, style_folder=style_folder)
    with pytest.raises(ValueError, match=r"\[0, 1\], got values from"):
        rewards(images * 2 - 1, [""] * 4)
    with pytest.raises(ValueError, match="4 images with 3 prompts"):
        rewards(images, [""] * 3)


def test_unknown_names_are_told_with_the_nearest_and_the_list(clip_folder, style_folder):
    with pytest.raises(UserError, match="Did you mean brightness.*incompressibility, compressibility") as caught:
        check_names(["clip_score", "brightnes"])
    assert caught.value.field == "rewards"
    with pytest.raises(UserError, match="'xyz' is no reward. There are"):
        RewardSet({"xyz": 1.0}, clip_folder=clip_folder, style_folder=style_folder)
    with pytest.raises(UserError, match="reward_file"):
        RewardSet({"own": 1.0}, clip_folder=clip_folder, style_folder=style_folder)


def test_colour_and_size_need_no_clip_model(tmp_path, images):
    rewards = RewardSet({"incompressibility": 1.0, "brightness": 1.0}, clip_folder=tmp_path / "none", style_folder=tmp_path / "none")
    assert len(rewards(images, [""] * 4).raw) == 2


def test_names_are_light():
    code = "import sys, core.rewards.names; sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
