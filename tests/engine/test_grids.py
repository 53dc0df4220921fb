"""Sheets of two sides: equal seeds at equal places, and what made it in the file, whatever the prompt is."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from core.config import ROOT
from core.grids import BASE_NAME, DASH, GAP, HEAD, MARGIN, SEED, Side, in_pairs, side_by_side

FRAME = 64 + 2 * GAP


def flat(count: int, offset: int) -> np.ndarray:
    """`count` flat pictures, each of its own grey."""
    return np.stack([np.full((64, 64, 3), 5 * n + offset, np.uint8) for n in range(count)])


def sides(count: int) -> tuple[Side, Side]:
    return Side(BASE_NAME, flat(count, 3)), Side("iteration 40", flat(count, 128), 0.75, "first")


def made(make=side_by_side, prompt: str = "cat", count: int = 5) -> Image.Image:
    facts = {"run": "first", "iteration": "40", "strength": "0.75"}
    return Image.open(io.BytesIO(make(*sides(count), prompt=prompt, seeds=list(range(7, 7 + count)), facts=facts).png()))


def tile_of_grid(count: int, place: int, n: int) -> tuple[int, int]:
    columns = round(count**0.5)
    block = columns * (64 + GAP) + GAP
    return MARGIN + place * (block + MARGIN) + GAP + n % columns * (64 + GAP), HEAD + GAP + n // columns * (64 + SEED + GAP)


def tile_of_pair(count: int, place: int, n: int) -> tuple[int, int]:
    columns = round(count**0.5)
    x = MARGIN + n % columns * (2 * FRAME + GAP + MARGIN) + place * (FRAME + GAP) + GAP
    return x, HEAD + n // columns * (FRAME + SEED + 2 * GAP) + SEED + GAP


@pytest.mark.parametrize("make, tile", [(side_by_side, tile_of_grid), (in_pairs, tile_of_pair)], ids=["grids", "pairs"])
@pytest.mark.parametrize("count", [1, 4, 5, 16])
def test_every_seed_stands_at_its_place_on_both_sides(make, tile, count):
    image = np.array(made(make, count=count))
    for place, offset in enumerate((3, 128)):
        for n in range(count):
            x, y = tile(count, place, n)
            assert (image[y : y + 64, x : x + 64] == 5 * n + offset).all(), (place, n)


def test_base_stands_in_a_dashed_frame_and_weights_in_a_solid_one():
    image = np.array(made(count=4).convert("L"))
    block = 2 * (64 + GAP) + GAP
    base, tuned = (image[HEAD, x : x + block + 1] for x in (MARGIN, 2 * MARGIN + block))
    assert (tuned < 255).all()
    assert (base < 255).any() and (base == 255).any() and not (base[: DASH + 1] == 255).any()
    two = side_by_side(Side("iteration 20", flat(4, 0)), Side("iteration 40", flat(4, 0)), prompt="", seeds=[0, 1, 2, 3]).image
    assert (np.array(two.convert("L"))[HEAD, MARGIN : MARGIN + block] < 255).all()


@pytest.mark.parametrize("make", [side_by_side, in_pairs], ids=["grids", "pairs"])
def test_file_says_what_made_it(make):
    told = {key: text for key, text in made(make).text.items() if key.startswith("manymodes:")}
    assert told == {
        "manymodes:prompt": "cat", "manymodes:seeds": "7 8 9 10 11", "manymodes:run": "first", "manymodes:iteration": "40",
        "manymodes:strength": "0.75", "manymodes:left": "base", "manymodes:right": "first, iteration 40, strength 0.75",
    }  # fmt: skip


def international_texts(png: bytes) -> dict[str, str]:
    """The iTXt chunks of a file, read by the letter of the standard (PNG, sections 5.3 and 11.3.4.4), with their checksums."""
    found, at = {}, 8
    assert png[:at] == b"\x89PNG\r\n\x1a\n"
    while at < len(png):
        (length,), kind = struct.unpack_from(">I", png, at), png[at + 4 : at + 8]
        body, at = png[at + 8 : at + 8 + length], at + 12 + length
        assert struct.unpack(">I", png[at - 4 : at])[0] == zlib.crc32(kind + body)
        if kind == b"iTXt":
            key, rest = body.split(b"\0", 1)
            _language, _translated, text = rest[2:].split(b"\0", 2)
            found[key.decode("latin-1")] = (zlib.decompress(text) if rest[0] else text).decode("utf-8")
    return found


def test_other_programs_read_the_words_by_the_standard_s_own_names():
    told = international_texts(in_pairs(*sides(4), prompt="猫 in a “hat”", seeds=[7, 8, 9, 10]).png())
    assert (told["Title"], told["Software"]) == ("猫 in a “hat”", "Manymodes Studio")
    for fact in ("猫 in a “hat”", "Left: base.", "Right: first, iteration 40, strength 0.75.", "Seeds 7 8 9 10,"):
        assert fact in told["Description"], fact
    assert all(key.isascii() and 0 < len(key) < 80 for key in told)  # what the standard allows a keyword


def test_margins_name_every_seed_and_the_prompt():
    """Where they are written the sheet changes with them, and nowhere else."""
    plain = np.array(made(count=4))
    other = np.array(Image.open(io.BytesIO(side_by_side(*sides(4), prompt="cat", seeds=[7, 8, 9, 55]).png())))
    x, y = tile_of_grid(4, 0, 3)
    changed = np.argwhere((plain != other).any(axis=2))
    assert len(changed) and ((changed[:, 0] >= y + 64) | (changed[:, 0] < HEAD)).all()
    assert (changed[:, 0] >= y + 64).any() and (changed[:, 0] < HEAD).any()  # under the tile, and in "seeds 7 to 55"
    words = np.argwhere((plain != np.array(made(prompt="dog", count=4))).any(axis=2))
    assert len(words) and (words[:, 0] > y + 64 + SEED).all()


@pytest.mark.parametrize("make", [side_by_side, in_pairs], ids=["grids", "pairs"])
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
def test_any_prompt_is_kept_as_text_and_never_breaks_the_sheet(make, prompt, kept):
    image = made(make, prompt)
    assert image.text["manymodes:prompt"] == (prompt if kept is None else kept)
    assert image.size == made(make).size
    assert (np.array(image)[:, 1 - MARGIN :] == 255).all()  # no word runs into the margin


def test_large_pictures_keep_their_size_and_their_shape(tmp_path):
    wide = np.zeros((1, 96, 160, 3), np.uint8)
    sheet = in_pairs(Side(BASE_NAME, wide), Side("iteration 1", wide), prompt="cat", seeds=[0])
    sheet.save(tmp_path / "deep" / "sheet.png")
    image = np.array(Image.open(tmp_path / "deep" / "sheet.png"))
    black = np.argwhere((image == 0).all(axis=2))
    assert len(black) == 2 * 96 * 160


def test_sheets_need_no_torch():
    code = "import sys, core.grids; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "False"
