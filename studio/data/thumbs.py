"""The small form of pictures: one alone, or many in one answer, since a request of its own for each would cost more than they do."""

from __future__ import annotations

from core.runs.database import Database

from .packed import packed


def thumb(db: Database, number: int) -> bytes | None:
    """WebP of one picture, or None if there is none."""
    row = db.row("SELECT thumb FROM pictures WHERE id = ?", number)
    return None if row is None else row["thumb"]


def sheet(db: Database, numbers: list[int]) -> bytes:
    """WebP of the pictures with these ids, as far as they exist. JSON: id, bytes (of each, in the order in which they follow)."""
    marks = ", ".join("?" * len(numbers))
    found = [r for r in db.rows(f"SELECT id, thumb FROM pictures WHERE id IN ({marks}) ORDER BY id", *numbers) if r["thumb"] is not None]
    return packed({"id": [r["id"] for r in found], "bytes": [len(r["thumb"]) for r in found]}, (r["thumb"] for r in found))
