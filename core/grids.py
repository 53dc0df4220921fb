"""Pictures of two sides on the same seeds as one PNG, with what made them in the margin and in text chunks. No torch."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from .runs.folder import write_atomically

GAP, MARGIN, HEAD, FOOT = 4, 24, 56, 22
SEED = 16  # pixels of the line that names a seed
SMALLEST = 64  # pixels of a tile's side
INK, QUIET, DASH = (24, 24, 27), (106, 106, 117), 6
BASE_NAME = "base"


@dataclass(frozen=True)
class Side:
    """One side of a sheet: what a person calls it, the run it is from, and its pictures, uint8 (N, H, W, 3)."""

    name: str
    pictures: Sequence[np.ndarray]
    strength: float = 1.0
    run: str = ""

    @property
    def base(self) -> bool:
        return self.name == BASE_NAME

    @property
    def words(self) -> str:
        return ", ".join([w for w in (self.run, self.name) if w] + ([] if self.base else [f"strength {self.strength:g}"]))


class Grid:
    """A picture with its provenance."""

    def __init__(self, image: Image.Image, facts: dict[str, str]):
        self.image, self.facts = image, facts

    def png(self) -> bytes:
        chunk = PngInfo()
        for key, value in self.words().items():  # names of the PNG standard, which viewers show
            chunk.add_itxt(key, _writable(value))
        for key, value in self.facts.items():
            chunk.add_itxt(f"manymodes:{key}", _writable(value))
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG", pnginfo=chunk)
        return buffer.getvalue()

    def words(self) -> dict[str, str]:
        """The same for a person, by the standard's own keywords (PNG, section 11.3.4.2)."""
        told = self.facts
        sides = f"Left: {told['left']}. Right: {told['right']}. Seeds {told['seeds']}, the same noise on both sides."
        return {"Title": told["prompt"], "Description": f"“{told['prompt']}”. {sides}", "Software": "Manymodes Studio"}

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.png())


def side_by_side(left: Side, right: Side, *, prompt: str, seeds: list[int], facts: dict[str, str] | None = None) -> Grid:
    """Two grids beside each other, equal seeds at equal places; the base in a dashed frame, weights in a solid one."""
    columns, rows, side = _shape(left, len(seeds))
    block = columns * (side + GAP) + GAP, rows * (side + SEED + GAP) + GAP
    sheet, draw = _sheet(2 * block[0] + 3 * MARGIN, HEAD + block[1] + FOOT + MARGIN)
    for place, one in enumerate((left, right)):
        x = MARGIN + place * (block[0] + MARGIN)
        _words(draw, (x, 12), one.words, 16, INK, block[0])
        _words(draw, (x, 34), _range(seeds) if place == 0 else "same seeds, same noise", 11, QUIET, block[0])
        _frame(draw, x, HEAD, block, dashed=one.base)
        for n, pixels in enumerate(one.pictures):
            at = x + GAP + n % columns * (side + GAP), HEAD + GAP + n // columns * (side + SEED + GAP)
            _tile(sheet, pixels, at, side)
            _words(draw, (at[0], at[1] + side + 1), str(seeds[n]), 11, QUIET, side)
    return _signed(sheet, draw, left, right, prompt, seeds, facts)


def in_pairs(left: Side, right: Side, *, prompt: str, seeds: list[int], facts: dict[str, str] | None = None) -> Grid:
    """Seed by seed: left beside right, each in its frame, so that what one seed became is seen at once."""
    columns, rows, side = _shape(left, len(seeds))
    frame = side + 2 * GAP
    cell = 2 * frame + GAP, frame + SEED + 2 * GAP
    sheet, draw = _sheet(columns * (cell[0] + MARGIN) + MARGIN, HEAD + rows * cell[1] + FOOT + MARGIN)
    _words(draw, (MARGIN, 12), f"left: {left.words}   right: {right.words}", 16, INK, sheet.width - 2 * MARGIN)
    _words(draw, (MARGIN, 34), f"{_range(seeds)}, same noise", 11, QUIET, sheet.width - 2 * MARGIN)
    for n, seed in enumerate(seeds):
        x, y = MARGIN + n % columns * (cell[0] + MARGIN), HEAD + n // columns * cell[1]
        _words(draw, (x, y), f"seed {seed}", 11, QUIET, cell[0])
        for place, one in enumerate((left, right)):
            at = x + place * (frame + GAP), y + SEED
            _frame(draw, *at, (frame, frame), dashed=one.base)
            _tile(sheet, one.pictures[n], (at[0] + GAP, at[1] + GAP), side)
    return _signed(sheet, draw, left, right, prompt, seeds, facts)


def _shape(side: Side, count: int) -> tuple[int, int, int]:
    """Columns, rows and the side of a tile in pixels."""
    columns = max(1, round(math.sqrt(count)))
    return columns, math.ceil(count / columns), max(SMALLEST, max(side.pictures[0].shape[:2]))


def _sheet(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    sheet = Image.new("RGB", (width, height), "white")
    return sheet, ImageDraw.Draw(sheet)


def _range(seeds: list[int]) -> str:
    return f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"


def _tile(sheet: Image.Image, pixels: np.ndarray, at: tuple[int, int], side: int) -> None:
    tile = Image.fromarray(pixels)
    if max(tile.size) != side:
        scale = side / max(tile.size)
        tile = tile.resize((round(tile.width * scale), round(tile.height * scale)), Image.Resampling.LANCZOS)
    sheet.paste(tile, (at[0] + (side - tile.width) // 2, at[1] + (side - tile.height) // 2))


def _signed(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, left: Side, right: Side, prompt: str, seeds: list[int], facts: dict[str, str] | None,
) -> Grid:
    """The sheet with the prompt in its lower margin, and everything again as text in the file."""
    _words(draw, (MARGIN, sheet.height - MARGIN - 8), f"“{' '.join(prompt.split())}”", 11, QUIET, sheet.width - 2 * MARGIN)
    told = {"prompt": prompt, "seeds": " ".join(map(str, seeds)), "left": left.words, "right": right.words}
    return Grid(sheet, told | (facts or {}))


def _words(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: tuple[int, int, int], width: int) -> None:
    """One line of text, cut where it would leave its `width`."""
    font, text = ImageFont.load_default(size), _writable(text)[:400]
    while text and draw.textlength(text, font) > width:
        text = text[:-1]
    draw.text(at, text, fill=colour, font=font)


def _writable(text: str) -> str:
    """Text without what a PNG cannot hold: half characters of an argument that was no UTF-8, and NUL, which ends a text."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


def _frame(draw: ImageDraw.ImageDraw, left: int, top: int, size: tuple[int, int], *, dashed: bool) -> None:
    right, bottom = left + size[0], top + size[1]
    if not dashed:
        draw.rectangle((left, top, right, bottom), outline=INK)
        return
    for x in range(left, right, 2 * DASH):
        for y in (top, bottom):
            draw.line((x, y, min(x + DASH, right), y), fill=QUIET)
    for y in range(top, bottom, 2 * DASH):
        for x in (left, right):
            draw.line((x, y, x, min(y + DASH, bottom)), fill=QUIET)
