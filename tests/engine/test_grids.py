"""The grid of base and tuned: equal seeds at equal places, and what made it in the file, whatever the prompt is."""

import numpy as np
import pytest
import torch
from PIL import Image

from core.grids import DASH, GAP, HEAD, MARGIN, side_by_side


def levels(count: int, offset: float) -> torch.Tensor:
    """`count` flat pictures, each of its own grey."""
    return (torch.arange(count) / 50 + offset).view(-1, 1, 1, 1).expand(count, 3, 64, 64)


def made(tmp_path, prompt: str = "cat", count: int = 5) -> Image.Image:
    path = tmp_path / "deep" / "grid.png"
    side_by_side(levels(count, 0.0), levels(count, 0.5), prompt=prompt, seeds=list(range(7, 7 + count)), run="first", strength=0.75).save(
        path
    )
    return Image.open(path)


def test_equal_seeds_stand_at_equal_places(tmp_path):
    image = np.array(made(tmp_path, count=5))
    columns = 2
    block = columns * (64 + GAP) + GAP
    for side, offset in enumerate((0.0, 0.5)):
        for n in range(5):
            x = MARGIN + side * (block + MARGIN) + GAP + n % columns * (64 + GAP)
            y = HEAD + GAP + n // columns * (64 + GAP)
            tile = image[y : y + 64, x : x + 64]
            assert (tile == round(255 * (n / 50 + offset))).all(), (side, n)


def test_base_stands_in_a_dashed_frame_and_tuned_in_a_solid_one(tmp_path):
    image = np.array(made(tmp_path, count=4).convert("L"))
    block = 2 * (64 + GAP) + GAP
    base, tuned = (image[HEAD, x : x + block + 1] for x in (MARGIN, 2 * MARGIN + block))
    assert (tuned < 255).all()
    assert (base < 255).any() and (base == 255).any() and not (base[: DASH + 1] == 255).any()


def test_file_says_what_made_it(tmp_path):
    assert made(tmp_path).text == {
        "manymodes:prompt": "cat",
        "manymodes:seeds": "7 8 9 10 11",
        "manymodes:run": "first",
        "manymodes:strength": "0.75",
    }


@pytest.mark.parametrize(
    "prompt, kept",
    [
        ("a\nb\tc " * 30, None),
        ('"><script>alert(1)</script>\x1b[31m', None),
        ("猫 \U0001f408 שלום", None),
        ("x" * 10_000, None),
        ("before\0after", "before after"),
        ("half \udc80 character", "half ? character"),
        ("", None),
    ],
    ids=["lines", "markup", "scripts", "long", "nul", "surrogate", "empty"],
)
def test_any_prompt_is_kept_as_text_and_never_breaks_the_sheet(tmp_path, prompt, kept):
    image = made(tmp_path, prompt)
    assert image.text["manymodes:prompt"] == (prompt if kept is None else kept)
    assert image.size == made(tmp_path).size


def test_words_stay_within_their_half(tmp_path):
    """Beside and below the words of the base the sheet is the same whatever the prompt is."""
    for count in (1, 4):
        long, short = (np.array(made(tmp_path, prompt, count)) for prompt in ("w" * 300, "cat\ndog\nowl\ncow"))
        columns = round(count**0.5)
        right = MARGIN + columns * (64 + GAP) + GAP
        assert np.array_equal(long[:, right + 1 :], short[:, right + 1 :]) and np.array_equal(long[HEAD:], short[HEAD:])
