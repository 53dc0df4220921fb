"""The taste for one style: log-odds of the shipped kind of probe, and one clear line when it is missing."""

import pytest
import torch

from core.config import MODELS
from core.errors import UserError
from core.rewards.style import PROBE_FILE, StylePreference, StyleProbe


def test_it_is_the_log_odds_of_the_style(style_folder, images):
    probe = StyleProbe.load(style_folder, "cpu")
    chance = probe(images).softmax(dim=-1)[:, 1]
    torch.testing.assert_close(StylePreference(probe, "twemoji")(images, [""] * 4), torch.logit(chance), atol=1e-5, rtol=1e-4)


def test_it_does_not_saturate(style_folder, images):
    """A probe that is sure (odds of e^40) must still rank; a float32 probability would be 1 for all."""
    probe = StyleProbe.load(style_folder, "cpu")
    with torch.no_grad():
        probe.head.bias.copy_(torch.tensor([0.0, 40.0, 0.0, 0.0]))
    scores = StylePreference(probe, "twemoji")(images, [""] * 4)
    assert (scores > 30).all() and len(scores.unique()) == 4


def test_it_does_not_depend_on_autocast_or_on_the_size_of_a_plain_picture(style_folder):
    score = StylePreference(StyleProbe.load(style_folder, "cpu"), "noto")
    images = torch.rand(2, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    small, large = images.expand(-1, -1, 64, 64).contiguous(), images.expand(-1, -1, 96, 96).contiguous()
    torch.testing.assert_close(score(small, ["", ""]), score(large, ["", ""]), atol=1e-4, rtol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(score(small, ["", ""]), score(small.clone(), ["", ""]), atol=0, rtol=0)
        under = score(small, ["", ""])
    torch.testing.assert_close(under, score(small, ["", ""]), atol=0, rtol=0)


def test_errors_are_one_line_with_a_remedy(style_folder, tmp_path):
    with pytest.raises(UserError, match="Did you mean twemoji.*noto, twemoji, fluent-3d"):
        StylePreference(StyleProbe.load(style_folder, "cpu"), "twemojy")
    with pytest.raises(UserError, match=PROBE_FILE):
        StyleProbe.load(tmp_path, "cpu")
    whole = (style_folder / PROBE_FILE).read_bytes()
    for content in (b"not safetensors", whole[: len(whole) // 2]):
        (tmp_path / PROBE_FILE).write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            StyleProbe.load(tmp_path, "cpu")


def test_the_shipped_probe_has_no_use_for_what_is_no_picture():
    """Noise, stripes and plain washes get less than even odds for every style, so leaving the pictures does not pay."""
    probe = StyleProbe.load(MODELS / "emoji-style", "cpu")
    draw = torch.Generator().manual_seed(4)
    wave = (torch.arange(64) // 4 % 2).float().expand(3, 64, 64)
    stripes = torch.stack([wave, 1 - 0.5 * wave])
    odd = torch.cat([torch.rand(4, 3, 64, 64, generator=draw), stripes, torch.rand(2, 3, 1, 1, generator=draw).expand(-1, -1, 64, 64)])
    for style in probe.styles:
        assert (StylePreference(probe, style)(odd, [""] * len(odd)) < 0).all(), style
