"""Try the reward: how files become pictures, and that scores are those of the rewards themselves."""

from __future__ import annotations

import io
import json
import struct

import models
import numpy as np
import pytest
import torch
from PIL import Image

from core import trying
from core.errors import UserError
from core.loading import load_backbone


def png(colour, size=(40, 20), mode="RGB", **save) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "PNG", **save)
    return out.getvalue()


def stream(config: dict, files: list[bytes], prompt: str = "cat") -> io.BytesIO:
    head = json.dumps({"config": config, "prompt": prompt}).encode() + b"\n"
    return io.BytesIO(head + b"".join(struct.pack(">I", len(f)) + f for f in files) + struct.pack(">I", 0))


def test_pictures_are_the_middle_square_on_white():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = (10, 200, 30)
    out = io.BytesIO()
    Image.fromarray(wide).save(out, "PNG")
    assert (trying.picture(out.getvalue(), 16) == (10, 200, 30)).mean() > 0.85  # but for the edges, which are smoothed
    clear = trying.picture(png((255, 0, 0, 0), mode="RGBA"), 16)
    assert (clear == 255).all() and clear.shape == (16, 16, 3) and clear.dtype == np.uint8
    half = trying.picture(png((0, 0, 0, 128), mode="RGBA"), 8)
    assert np.abs(half.astype(int) - 127).max() <= 1


def test_a_photograph_is_turned_as_its_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", exif=exif)
    shown = trying.picture(out.getvalue(), 16)
    assert (shown[:8] == 0).all() and (shown[8:] == 255).all()


@pytest.mark.parametrize("data, said", [(b"", "no picture"), (b"\x89PNG\r\n\x1a\n", "no picture"), (b"<svg/>", "no picture"), (b"%!PS-Adobe", "no picture")])
def test_what_is_no_picture_is_refused_in_words(data, said):
    with pytest.raises(ValueError, match=said):
        trying.picture(data, 16)


def test_a_picture_that_would_fill_memory_is_refused():
    with pytest.raises(ValueError, match="10000 by 10000 pixels"):
        trying.picture(png(1, (10_000, 10_000), mode="1"), 16)


def test_frames_break_off_are_too_large_or_too_many():
    def read(data: bytes) -> list[bytes]:
        return list(trying.read_frames(io.BytesIO(data)))

    one = struct.pack(">I", 1) + b"x"
    assert read(one * 64 + struct.pack(">I", 0)) == [b"x"] * 64
    for data, said in [
        (one * 65 + struct.pack(">I", 0), "at most 64"),
        (one, "broke off"),
        (struct.pack(">I", 5) + b"abc", "broke off"),
        (struct.pack(">I", trying.LARGEST + 1), "up to 10 MB"),
    ]:
        with pytest.raises(UserError, match=said):
            read(data)


def test_the_side_is_that_of_the_runs_pictures(sd3_folder, tmp_path_factory, settings):
    assert trying.picture_side(settings()) == models.SIDE
    assert trying.picture_side(settings(resolution=48)) == 48
    for kind in ("sd", "ddpm", "ldm", "ldm-vq"):
        config = settings().with_changes(model=str(models.diffusion_folder(tmp_path_factory, kind)), dynamics="ddim")
        backbone = load_backbone(config)
        # a picture of the model itself, as the reward would get it
        assert trying.picture_side(config) == backbone.decode(torch.zeros(1, *backbone.latent_shape)).shape[-1], kind
    assert trying.picture_side(settings().with_changes(model="nobody/nothing-here")) == 512


def test_scores_are_the_rewards_own_and_the_best_comes_first(settings):
    config = settings(rewards={"brightness": 1.0}).model_dump(mode="json")
    told = trying.answer(stream(config, [png((0, 0, 0)), b"no picture", png((255, 255, 255)), png((128, 128, 128))]))
    assert [p["index"] for p in told["pictures"]] == [2, 3, 0, 1] and told["side"] == models.SIDE
    assert [p["raw"]["brightness"] for p in told["pictures"][:3]] == pytest.approx([1.0, 128 / 255, 0.0], abs=1e-3)
    assert "no picture" in told["pictures"][3]["error"]
    # with equal weights and one spread each, the sum weighs both alike: colourful red wins over bright white
    both = settings(rewards={"brightness": 1.0, "colourfulness": 1.0}).model_dump(mode="json")
    told = trying.answer(stream(both, [png((255, 255, 255)), png((255, 60, 60)), png((0, 0, 0))]))
    raw = {n: np.array([{p["index"]: p for p in told["pictures"]}[i]["raw"][n] for i in range(3)]) for n in both["rewards"]}
    total = sum((v - v.mean()) / v.std() for v in raw.values())
    assert [p["index"] for p in told["pictures"]] == np.argsort(-total).tolist()
    assert [p["total"] for p in told["pictures"]] == pytest.approx(np.sort(total)[::-1].tolist(), abs=1e-4)


def test_a_reward_that_scores_nothing_gives_none(settings, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def score(images, prompts):\n    return [None if i.mean() < 10 else float(i.mean()) for i in images]\n")
    config = settings(rewards={"own": 1.0}, reward_file=str(file)).model_dump(mode="json")
    told = trying.answer(stream(config, [png((0, 0, 0)), png((200, 200, 200))]))
    assert [(p["index"], p["raw"]["own"]) for p in told["pictures"]] == [(1, 200.0), (0, None)]
    assert told["pictures"][1]["total"] is None
