"""The lesson's recorder: what it keeps of a run, that it needs no torch, and the recording that ships."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.recipe import lesson as recipe
from core.config import ROOT
from core.runs import checkpoints, compare
from core.runs.database import pack
from core.runs.folder import Run

sys.path.insert(0, str(Path(__file__).parents[1] / "studio"))
from sample_run import write_run  # noqa: E402

PAIRS = 4


def lossless(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (value, 20, 30)).save(out, "WEBP", lossless=True)
    return out.getvalue()


def draw_pairs(run: Run, at: int) -> None:
    """As Compare leaves them: seeds 0 to PAIRS - 1 of the base and of checkpoint `at`."""
    feature, pixels = pack(np.ones(4)), pack(np.ones(3 * 16 * 16))
    with compare.Store(run) as store:
        for side, reward in ((compare.BASE, 0.0), ((at, 100), 1.0)):
            rows = [
                {"seed": s, "reward": reward + s, "look": s % 2, "embedding": feature, "pixels": pixels, "picture": lossless(40 * s), "thumb": None}
                for s in range(PAIRS)
            ]
            store.add(0, side, rows)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """(source of the collapse, folder of the recording)"""
    where = tmp_path_factory.mktemp("runs")
    collapse = write_run(where / "collapse", iterations=23, turn_at=12, end=40)
    diverse = write_run(where / "diverse", iterations=10, creative_beta=0.5)
    saved = checkpoints.path(diverse, 10)
    saved.mkdir()
    (saved / "state.json").write_text("{}")  # all that tells a complete checkpoint
    draw_pairs(diverse, 10)
    out = where / "lesson"
    arguments = [str(collapse.path), str(diverse.path), "--out", str(out), "--every", "4", "--base", "40", "--pairs", str(PAIRS)]
    assert recipe.main(arguments) == 0
    return collapse, out


def rows(folder: Path, sql: str) -> list[tuple]:
    with sqlite3.connect(f"{(folder / 'run.db').as_uri()}?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def test_every_fourth_iteration_keeps_its_pictures_and_the_last_before_a_turn(recorded):
    _, out = recorded
    kept = [r[0] for r in rows(out / "collapse", "SELECT DISTINCT iteration FROM pictures WHERE kind = 'train' ORDER BY iteration")]
    assert kept == [1, 4, 8, 11, 12, 16, 20, 23]


def test_the_other_run_keeps_its_last_pictures(recorded):
    _, out = recorded
    assert rows(out / "diverse", "SELECT DISTINCT iteration FROM pictures WHERE kind = 'train'") == [(10,)]


def test_all_metrics_stay_to_five_digits(recorded):
    source, out = recorded
    before, after = (dict(rows(folder, "SELECT iteration, metrics FROM iterations")) for folder in (source.path, out / "collapse"))
    assert before.keys() == after.keys()
    for iteration in before:
        a, b = json.loads(before[iteration]), json.loads(after[iteration])
        assert a.keys() == b.keys()
        assert b["vendi"] == pytest.approx(a["vendi"], rel=5e-5)
        assert len(repr(b["vendi"]).replace(".", "")) <= 6


def test_base_pictures_keep_the_typical_one_of_each_look_under_its_id(recorded):
    source, out = recorded
    typical = {r[0] for r in rows(source.path, "SELECT picture FROM looks")}
    kept = {r[0]: r[1] for r in rows(out / "collapse", "SELECT id, thumb FROM pictures WHERE kind = 'base'")}
    assert typical <= kept.keys()
    assert 40 <= len(kept) <= 40 + len(typical)
    original = dict(rows(source.path, "SELECT id, thumb FROM pictures WHERE kind = 'base'"))
    for number in typical:
        a, b = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float) for data in (original[number], kept[number]))
        assert np.abs(a - b).mean() < 12  # the same picture, smaller


def test_the_turn_of_the_dial_is_kept(recorded):
    _, out = recorded
    (iteration, body), = rows(out / "collapse", "SELECT iteration, body FROM events WHERE kind = 'dial'")
    assert (iteration, json.loads(body)["new"]) == (12, 0.5)


def test_pairs_share_their_seed(recorded):
    _, out = recorded
    base, tuned = (
        rows(out / "diverse", f"SELECT seed, reward, look FROM pictures WHERE kind = 'sample' AND iteration {sign} ORDER BY position")
        for sign in ("= 0", "= 10")
    )
    assert [r[0] for r in base] == [r[0] for r in tuned] == list(range(PAIRS))
    assert [t[1] - b[1] for b, t in zip(base, tuned)] == [1.0] * PAIRS


def test_a_recording_is_read_where_nothing_may_be_written(recorded):
    _, out = recorded
    assert sorted(p.name for p in (out / "collapse").iterdir()) == ["config.yaml", "run.db"]
    assert rows(out / "collapse", "PRAGMA journal_mode") == [("delete",)]
    with Run(out / "collapse").database(readonly=True) as db:
        status = db.status()
    assert (status["state"], status["iteration"], status["iterations"], status["pid"]) == ("replay", 23, 23, None)


def test_a_recording_that_is_too_large_leaves_the_old_one(recorded, tmp_path, monkeypatch, capsys):
    source, out = recorded
    monkeypatch.setattr(recipe, "LARGEST", 1000)
    before = (out / "collapse" / "run.db").read_bytes()
    assert recipe.main([str(source.path), str(source.path), "--out", str(out), "--pairs", "0"]) == 2
    assert "Raise --every" in capsys.readouterr().err
    assert (out / "collapse" / "run.db").read_bytes() == before


def test_a_run_without_a_checkpoint_has_no_pairs(recorded, tmp_path, capsys):
    source, _ = recorded
    assert recipe.main([str(source.path), str(source.path), "--out", str(tmp_path), "--pairs", "2"]) == 2
    assert "nothing was saved" in capsys.readouterr().err


def test_recording_imports_no_torch():
    code = "import sys, assets.recipe.lesson; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# --- what ships -----------------------------------------------------------------------------------------------------------
def test_the_shipped_recording_is_small_and_whole():
    assert recipe.size(recipe.LESSON) <= recipe.LARGEST
    for name in recipe.NAMES:
        run = Run(recipe.LESSON / name)
        assert run.config().prompts
        assert sorted(p.name for p in run.path.iterdir()) == ["config.yaml", "film.webp", "run.db"]
        text = (run.path / "config.yaml").read_text() + str(rows(run.path, "SELECT body FROM events")) + str(rows(run.path, "SELECT * FROM status"))
        assert "/" not in text.replace("bfloat16", "")  # no path of the machine it was made on
    seeds = rows(recipe.LESSON / "diverse", "SELECT count(*), count(DISTINCT seed), count(DISTINCT position) FROM pictures WHERE kind = 'sample'")
    assert seeds == [(48, 24, 24)]
