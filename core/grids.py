"""Base and tuned pictures of the same seeds as one PNG, with what made them in the margin and in a text chunk."""

from __future__ import annotations

import io
import math
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from .pictures import to_uint8
from .runs.folder import write_atomically

GAP, MARGIN, HEAD = 4, 24, 56
INK, QUIET, DASH = (24, 24, 27), (106, 106, 117), 6


class Grid:
    """A picture with its provenance."""

    def __init__(self, image: Image.Image, facts: dict[str, str]):
        self.image, self.facts = image, facts

    def save(self, path: Path) -> None:
        chunk = PngInfo()
        for key, value in self.facts.items():
            chunk.add_itxt(f"manymodes:{key}", _writable(value))
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG", pnginfo=chunk)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())


def side_by_side(base: torch.Tensor, tuned: torch.Tensor, *, prompt: str, seeds: list[int], run: str, strength: float) -> Grid:
    """Base left in a dashed frame, tuned right in a solid one, equal seeds at equal places. (N, 3, H, W) in [0, 1] each."""
    columns = max(1, round(math.sqrt(len(seeds))))
    rows = math.ceil(len(seeds) / columns)
    side = max(64, base.shape[-1])
    block = columns * (side + GAP) + GAP, rows * (side + GAP) + GAP
    sheet = Image.new("RGB", (2 * block[0] + 3 * MARGIN, block[1] + HEAD + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(16), ImageFont.load_default(11)
    seeds_words = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    for place, (name, images) in enumerate((("base", base), ("tuned", tuned))):
        left = MARGIN + place * (block[0] + MARGIN)
        draw.text((left, 12), name, fill=INK, font=title)
        subject, rest = (" ".join(_writable(prompt).split()), f"   {seeds_words}") if place == 0 else (run, f", strength {strength:g}")
        fitting = next((n for n in range(min(len(subject), 40), 0, -1) if draw.textlength(subject[:n] + rest, small) <= block[0]), 0)
        draw.text((left, 34), subject[:fitting] + rest, fill=QUIET, font=small)
        _frame(draw, left, HEAD, block, dashed=place == 0)
        for n, pixels in enumerate(to_uint8(images)):
            tile = Image.fromarray(pixels)
            if tile.width != side:
                tile = tile.resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(tile, (left + GAP + n % columns * (side + GAP), HEAD + GAP + n // columns * (side + GAP)))
    facts = {"prompt": prompt, "seeds": " ".join(map(str, seeds)), "run": run, "strength": f"{strength:g}"}
    return Grid(sheet, facts)


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
