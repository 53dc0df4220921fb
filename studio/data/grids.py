"""Pictures that a person kept: one PNG in the run's folder grids/, with what made them under each, in the margin and as PNG text."""

from __future__ import annotations

import io
import json
import math
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from core.errors import UserError
from core.runs.database import Database
from core.runs.folder import Run, write_atomically

from .points import some
from .presets import describe
from .settings import settings

MOST = 400  # pictures of one selection
_NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{1,4}-pictures(-[0-9]{1,3})?\.png")
_GAP, _MARGIN, _HEAD, _WORDS = 6, 24, 58, 18  # pixels
_INK, _QUIET, _LINE = (24, 24, 27), (106, 106, 117), (231, 231, 235)


def numbers(found: Any) -> list[int]:
    """Ids of pictures, 1 to 400 of them. Raises UserError."""
    try:
        ids = [int(n) for n in found if not isinstance(n, bool)]
    except (TypeError, ValueError):
        raise UserError("ids: expected the numbers of pictures.", "ids") from None
    if not 1 <= len(ids) <= MOST or not all(0 < n < 2**63 for n in ids):
        raise UserError(f"ids: {len(ids)} pictures cannot be kept together. Select 1 to {MOST}.", "ids")
    return ids


def keep(run: Run, db: Database, ids: Any) -> dict[str, Any]:
    """Draw the pictures with these ids, best first, and save them as grids/<time>-<n>-pictures.png.

    Returns the row that `kept` lists. Raises UserError if an id is no number, none of them exists or the folder cannot be written.
    """
    found = some(db, numbers(ids))["pictures"]
    if not found:
        raise UserError(f"ids: {run.name} has none of these pictures.", "ids")
    found.sort(key=lambda p: -(p["reward"] if p["reward"] is not None else math.inf))
    sheet, facts = _draw(run, db, found), _facts(run, found)
    folder = run.path / "grids"
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{len(found)}-pictures"
    try:
        folder.mkdir(exist_ok=True)
        name = next(n for n in (f"{stem}.png", *(f"{stem}-{i}.png" for i in range(2, 1000))) if not (folder / n).exists())
        write_atomically(folder / name, _png(sheet, facts))
    except OSError as error:
        raise UserError(f"{folder}: the grid cannot be saved ({error.strerror}). Free some space or make the folder writable.", "ids") from None
    return _row(folder / name)


def kept(run: Run) -> list[dict[str, Any]]:
    """The kept grids, newest first: file, time (s), bytes, and the facts in the PNG."""
    found = [p for p in (run.path / "grids").glob("*.png") if _NAME.fullmatch(p.name)]
    return [_row(p) for p in sorted(found, key=lambda p: p.stat().st_mtime, reverse=True)[:100]]


def path(run: Run, file: str) -> Path:
    """Where a kept grid is. Raises UserError."""
    place = run.path / "grids" / file
    if not _NAME.fullmatch(file) or not place.is_file():
        raise UserError(f"{run.name} has no grid {file!r}.", "picture")
    return place


def remove(run: Run, file: str) -> None:
    """Delete a kept grid for good. Raises UserError."""
    try:
        path(run, file).unlink()
    except OSError as error:
        raise UserError(f"{file} cannot be deleted ({error.strerror}). Check the folder's permissions.", "picture") from None


def _row(place: Path) -> dict[str, Any]:
    with Image.open(place) as picture:
        facts = {key.removeprefix("manymodes:"): str(value) for key, value in picture.text.items() if key.startswith("manymodes:")}
        size = picture.size
    return {"file": place.name, "time": place.stat().st_mtime, "bytes": place.stat().st_size, "size": size, "facts": facts}


def _facts(run: Run, found: list[dict[str, Any]]) -> dict[str, str]:
    config = settings(run)
    preset = describe(config)

    def values(key: str) -> str:
        return json.dumps([p[key] for p in found])

    prompts = sorted({p["prompt"] for p in found})
    return {
        "run": run.name,
        "model": config.model,
        "preset": preset["title"] + (f", {preset['changes']} changed" if preset["changes"] else ""),
        "prompts": json.dumps({n: config.prompts[n] for n in prompts}, ensure_ascii=False),
        "pictures": str(len(found)),
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **{f"picture_{key}": values(key) for key in ("id", "kind", "iteration", "prompt", "seed", "reward", "look")},
    }


def _draw(run: Run, db: Database, found: list[dict[str, Any]]) -> Image.Image:
    images = []
    for p in found:
        row = db.row("SELECT thumb FROM pictures WHERE id = ?", p["id"])
        images.append(Image.open(io.BytesIO(row["thumb"])).convert("RGB"))
    side = max(96, max(max(i.size) for i in images))
    columns = max(4, math.ceil(math.sqrt(len(images) * 1.5)))
    rows = math.ceil(len(images) / columns)
    width = 2 * _MARGIN + columns * (side + _GAP) - _GAP
    sheet = Image.new("RGB", (width, _HEAD + rows * (side + _GAP + _WORDS) + _MARGIN), "white")
    pen, title, small = ImageDraw.Draw(sheet), ImageFont.load_default(15), ImageFont.load_default(11)
    prompts = settings(run).prompts
    names = ", ".join(dict.fromkeys(" ".join(prompts[p["prompt"]].split()) for p in found))
    pen.text((_MARGIN, 14), _fitting(pen, f"{len(found)} pictures for {names}", title, width - 2 * _MARGIN), fill=_INK, font=title)
    where = f"{run.name}, {_iterations(p['iteration'] for p in found)}, best first"
    pen.text((_MARGIN, 36), _fitting(pen, where, small, width - 2 * _MARGIN), fill=_QUIET, font=small)
    for n, (p, image) in enumerate(zip(found, images)):
        x, y = _MARGIN + n % columns * (side + _GAP), _HEAD + n // columns * (side + _GAP + _WORDS)
        sheet.paste(image.resize((side, side), Image.Resampling.LANCZOS) if image.size != (side, side) else image, (x, y))
        pen.rectangle((x, y, x + side - 1, y + side - 1), outline=_LINE)
        look = "" if p["look"] is None else "new" if p["look"] < 0 else chr(65 + p["look"])
        pen.text((x, y + side + 3), f"{look} {p['seed']}".strip(), fill=_QUIET, font=small)
        if p["reward"] is not None:
            pen.text((x + side, y + side + 3), f"{p['reward']:.2f}", fill=_INK, font=small, anchor="ra")
    return sheet


def _iterations(numbers: Iterable[int]) -> str:
    low, high = min(found := list(numbers)), max(found)
    return f"iteration {low}" if low == high else f"iterations {low} to {high}"


def _fitting(pen: ImageDraw.ImageDraw, text: str, font: Any, width: int) -> str:
    """As much of `text` as fits, with three dots where it was cut."""
    text = text[:400]
    if pen.textlength(text, font) <= width:
        return text
    return text[: next((n for n in range(len(text), 0, -1) if pen.textlength(text[:n] + "...", font) <= width), 0)] + "..."


def _png(sheet: Image.Image, facts: dict[str, str]) -> bytes:
    chunk = PngInfo()
    for key, value in facts.items():
        # a PNG's text ends at NUL, and holds no half characters
        chunk.add_itxt(f"manymodes:{key}", value.encode("utf-8", "replace").decode().replace("\0", " "))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", pnginfo=chunk)
    return buffer.getvalue()
