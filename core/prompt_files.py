"""Prompts out of a file: a text with one a line, a table (CSV, TSV) with a column for them, or JSON, as prompt sets are passed on."""

from __future__ import annotations

import csv
import difflib
import io
import json
from pathlib import Path
from typing import Any

from .errors import UserError

SHIPPED = Path(__file__).resolve().parent.parent / "presets" / "prompts"
COLUMNS = ("prompt", "prompts", "text", "caption", "captions", "description")  # what the field's prompt sets call it
TABLES = {".csv": ",", ".tsv": "\t"}
_LONGEST = 10**6  # letters of one cell


def listed(name: str) -> tuple[str, ...]:
    """The prompts of a shipped list (`animals`) or of a file: text with one a line (# opens a note), CSV, TSV or JSON. Raises UserError."""
    shipped = {p.stem: p for p in sorted(SHIPPED.glob("*.txt"))}
    try:
        text = shipped.get(name, Path(name)).read_text(encoding="utf-8")
    except (OSError, ValueError):
        near = difflib.get_close_matches(name, shipped, n=1)
        hint = f"Did you mean @{near[0]}?" if near else f"There are: {', '.join('@' + n for n in shipped)}, or name a text file."
        raise _wrong(f"{'@' + name[:60]!r} is no list here and no text file. {hint}") from None
    return read(text, Path(name).name)


def read(text: str, name: str) -> tuple[str, ...]:
    """The prompts of a file called `name`, each on one line. Raises UserError if there are none or the form is another."""
    text = text.removeprefix("\ufeff")
    suffix = f".{name.rpartition('.')[2].lower()}" if "." in name else ""
    if suffix in TABLES:
        found = _table(text, name, TABLES[suffix])
    elif suffix in (".jsonl", ".ndjson", ".json"):
        found = _json(text, name, lines=suffix != ".json")
    else:
        found = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    prompts = tuple(p for p in (" ".join(p.split()) for p in found) if p)
    if not prompts:
        raise _wrong(f"{name} holds no prompts.")
    return prompts


def _wrong(sentence: str) -> UserError:
    return UserError(f"prompts: {sentence}", "prompts")


def _table(text: str, name: str, delimiter: str) -> list[str]:
    """The column called prompt; a table of one column may do without a head."""
    csv.field_size_limit(_LONGEST)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise _wrong(f"{name} cannot be read as a table ({error}). Save it as CSV again, or as text with one prompt a line.") from None
    if not rows:
        return []
    head = [cell.strip().lower() for cell in rows[0]]
    column = next((head.index(word) for word in COLUMNS if word in head), None)
    if column is None and max(len(row) for row in rows) == 1:
        return [row[0] for row in rows]
    if column is None:
        raise _wrong(f"{name} has no column called prompt; its first line is {_few(rows[0])}. Call the right one prompt.")
    return [row[column] for row in rows[1:] if len(row) > column]


def _json(text: str, name: str, *, lines: bool) -> list[str]:
    """Texts, or objects with a prompt: one a line, or in a list."""
    found: list[Any] = []
    for number, line in enumerate(text.splitlines() if lines else [text], start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            where = f"Line {number} of {name}" if lines else name
            raise _wrong(f"{where} is not JSON. Save it again, or as text with one prompt a line.") from None
        found += [value] if lines else _list(value, name)
    return [_prompt(value, number, name) for number, value in enumerate(found, start=1)]


def _list(value: Any, name: str) -> list[Any]:
    if isinstance(value, dict):
        value = next((value[word] for word in COLUMNS if isinstance(value.get(word), list)), None)
    if not isinstance(value, list):
        raise _wrong(f"{name} holds no list of prompts.")
    return value


def _prompt(value: Any, number: int, name: str) -> str:
    if isinstance(value, dict):
        value = next((value[word] for word in COLUMNS if isinstance(value.get(word), str)), None)
    if not isinstance(value, str):
        raise _wrong(f"Entry {number} of {name} has no text called prompt.")
    return value


def _few(cells: list[str]) -> str:
    said = ", ".join(cell.strip()[:20] or "empty" for cell in cells[:4])
    return said + (" and more" if len(cells) > 4 else "")
