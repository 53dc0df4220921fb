import io

import numpy as np
import pytest
import torch
from PIL import Image

from core.rewards.colour import brightness, colourfulness
from core.rewards.jpeg import compressibility, incompressibility

PLAIN = [incompressibility, compressibility, colourfulness, brightness]


def flat(red, green, blue, size=64):
    return torch.tensor([red, green, blue]).view(1, 3, 1, 1).expand(1, 3, size, size).clone()


@pytest.mark.parametrize("reward", PLAIN)
@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 255.0), (0.0, float("nan"))])
def test_other_ranges_are_refused_with_their_ends(reward, low, high):
    images = torch.zeros(2, 3, 8, 8)
    images[0, 0, 0, 0], images[1, 2, 3, 4] = low, high
    with pytest.raises(ValueError, match=r"\[0, 1\]") as caught:
        reward(images, ["", ""])
    if high == high:
        assert f"from {low:g} to {high:g}" in str(caught.value)


@pytest.mark.parametrize("reward", PLAIN)
@pytest.mark.parametrize("images", [torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 8), torch.zeros(2, 1, 8, 8)])
def test_other_shapes_and_types_are_refused(reward, images):
    with pytest.raises(ValueError, match="float32 images"):
        reward(images, ["", ""])


@pytest.mark.parametrize("reward", PLAIN)
def test_a_batch_is_scored_picture_by_picture(reward):
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    scores = reward(images, [""] * 3)
    assert scores.dtype == torch.float32 and scores.shape == (3,)
    torch.testing.assert_close(scores.flip(0), reward(images.flip(0), [""] * 3))


def test_flat_pictures_compress_better_than_noise():
    pictures = torch.cat([flat(0.5, 0.5, 0.5), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))])
    size = incompressibility(pictures, ["", ""])
    assert 0.5 < size[0] < 1 and size[1] > 5  # kB
    assert torch.equal(compressibility(pictures, ["", ""]), -size)


def test_jpeg_size_of_the_rounded_picture():
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, format="JPEG", quality=95)
    images = torch.from_numpy(values).permute(2, 0, 1)[None].float() / 255
    assert float(incompressibility(images, [""])) == pytest.approx(len(file.getvalue()) / 1000)
    nudged = (images + 0.4 / 255).clamp(max=1)  # rounds back to the same bytes
    assert float(incompressibility(nudged, [""])) == pytest.approx(len(file.getvalue()) / 1000)


def test_brightness_of_known_colours():
    colours = torch.cat([flat(0, 0, 0), flat(1, 1, 1), flat(1, 0, 0), flat(0, 1, 0), flat(0.2, 0.4, 0.6)])
    expected = torch.tensor([0, 1, 0.299, 0.587, 0.2 * 0.299 + 0.4 * 0.587 + 0.6 * 0.114])
    torch.testing.assert_close(brightness(colours, [""] * 5), expected, atol=1e-5, rtol=0)


def test_colourfulness_of_flat_colours():
    assert float(colourfulness(flat(0.3, 0.3, 0.3), [""])) == pytest.approx(0, abs=1e-4)
    # no spread; rg = 255, yb = 127.5, so M = 0.3 sqrt(255^2 + 127.5^2)
    assert float(colourfulness(flat(1.0, 0.0, 0.0), [""])) == pytest.approx(0.3 * (255**2 + 127.5**2) ** 0.5, rel=1e-5)


def test_colourfulness_against_the_paper_in_numpy():
    values = np.random.default_rng(1).integers(0, 256, (24, 40, 3)).astype(np.float64)
    rg = values[..., 0] - values[..., 1]
    yb = (values[..., 0] + values[..., 1]) / 2 - values[..., 2]
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    images = torch.from_numpy(values / 255).permute(2, 0, 1)[None].float()
    assert float(colourfulness(images, [""])) == pytest.approx(expected, rel=1e-5)
