"""Data functions on a written run folder, without a browser."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from sample_run import World, metrics, write_run

from core.config import RunConfig
from core.runs import folder
from studio.data import head, points, presets, setup, started, thumbs
from studio.data.history import history


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "cats", iterations=30, turn_at=20)


def unpack(data: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """A second reader of the binary layout."""
    length = int.from_bytes(data[:4], "little")
    told = json.loads(data[4 : 4 + length])
    at, columns = 4 + length, {}
    assert at % 4 == 0
    for name, kind in (
        ("x", "<f4"),
        ("y", "<f4"),
        ("reward", "<f4"),
        ("id", "<u4"),
        ("iteration", "<u4"),
        ("prompt", "<u2"),
        ("look", "u1"),
    ):
        columns[name] = np.frombuffer(data, kind, told["n"], at)
        at += columns[name].nbytes
    assert at == len(data)
    return told, columns


def test_points_are_the_pictures_of_the_asked_iterations(run):
    with run.database(readonly=True) as db:
        told, columns = unpack(points.points(db, 0, 10, 12, "umap"))
        rows = db.rows("SELECT * FROM pictures WHERE kind = 'train' AND iteration IN (11, 12) ORDER BY iteration, position")
    assert told == {"n": 48, "method": "umap"}
    assert columns["id"].tolist() == [r["id"] for r in rows]
    assert columns["iteration"].tolist() == [11] * 24 + [12] * 24
    np.testing.assert_allclose(columns["x"], [r["umap_x"] for r in rows], rtol=1e-6)
    np.testing.assert_allclose(columns["reward"], [r["reward"] for r in rows], rtol=1e-6)
    assert columns["look"].tolist() == [255 if r["look"] < 0 else r["look"] for r in rows]


def test_map_is_pca_until_every_base_picture_is_laid_out(tmp_path):
    run = write_run(tmp_path / "layout", iterations=2)
    with run.database() as db:
        assert points.method(db, 0) == "umap"
        first = db.row("SELECT id, pca_x FROM pictures WHERE kind = 'base' ORDER BY position LIMIT 1")
        db.update_pictures(("umap_x",), [(None, first["id"])])
        told, columns = unpack(points.base(db, 0))
        assert told["method"] == "pca" and columns["x"][0] == pytest.approx(first["pca_x"], rel=1e-6)
        # once laid out, pictures that wait longer than a minute wait for nobody: back to PCA
        db.update_pictures(("umap_x",), [(0.5, first["id"])])
        newest = db.row("SELECT max(id) AS id FROM pictures WHERE iteration = 2")["id"]
        db.update_pictures(("umap_x",), [(None, newest)])
        assert points.method(db, 0) == "umap"
        db.write("UPDATE iterations SET time = time - 61")
        assert points.method(db, 0) == "pca"
        assert unpack(points.points(db, 7, 0, 9, "pca"))[0]["n"] == 0


def test_a_picture_has_its_rank_in_its_group(run):
    with run.database(readonly=True) as db:
        group = points.pictures(db, 0, 25, 24)
        assert group["iteration"] == 25 and len(group["pictures"]) == 24
        best = max(group["pictures"], key=lambda p: p["reward"])
        told = points.picture(db, best["id"])
        assert (told["rank"], told["of"]) == (1, 24)
        assert isinstance(told["seed"], str)
        worst = min(group["pictures"], key=lambda p: p["reward"])
        assert points.picture(db, worst["id"])["rank"] == 24
        assert points.picture(db, 10**9) is None and thumbs.thumb(db, 10**9) is None
        assert thumbs.thumb(db, best["id"])[:4] == b"RIFF"
        assert points.pictures(db, 0, 0, 24)["iteration"] == 0


def test_a_sheet_holds_each_picture_once(run):
    with run.database(readonly=True) as db:
        ids = [p["id"] for p in points.pictures(db, 0, 25, 24)["pictures"]]
        sheet = thumbs.sheet(db, [*reversed(ids), ids[0], 10**9])
        alone = {number: thumbs.thumb(db, number) for number in ids}
        assert thumbs.sheet(db, [10**9])[4:] == b'{"id": [], "bytes": []}' + b" "
    at = 4 + int.from_bytes(sheet[:4], "little")
    told = json.loads(sheet[4:at])
    assert at % 4 == 0 and told["id"] == sorted(ids)
    for number, length in zip(told["id"], told["bytes"], strict=True):
        assert sheet[at : at + length] == alone[number]
        at += length
    assert at == len(sheet)


def test_history_is_a_mean_over_96_pictures(run):
    with run.database(readonly=True) as db:
        past = history(run, db)
        raw = {r["iteration"]: r for r in db.iterations()}
    assert past.window == 4
    row = next(r for r in past.rows if r["iteration"] == 10)
    assert row["variety"] == pytest.approx(np.mean([raw[i]["vendi"] for i in (7, 8, 9, 10)]))
    assert row["base"] == pytest.approx(raw[0]["vendi"])
    shares = np.mean([raw[i]["look_shares"]["0"] for i in (7, 8, 9, 10)], axis=0)
    np.testing.assert_allclose(row["shares"]["0"], shares, atol=1e-5)
    # the base's shares are its own, and no part of what the first iterations made
    for n in (0, 1, 2):
        shares = np.mean([raw[i]["look_shares"]["0"] for i in range(min(n, 1), n + 1)], axis=0)
        np.testing.assert_allclose(past.rows[n]["shares"]["0"], shares, atol=1e-5)
    assert [r["verdict"] for r in past.rows[:5]] == ["Too early to say"] * 4 + [past.rows[4]["verdict"]]
    page = past.since(27)
    assert [r["iteration"] for r in page["rows"]] == [28, 29, 30] and page["more"] is False


def test_variety_is_judged_on_the_prompts_that_were_drawn(tmp_path):
    run = write_run(tmp_path / "two", iterations=0, prompts=("cat", "dog"), group_size=48)
    with run.database() as db:
        db.write("DELETE FROM iterations")
        db.add_iteration(0, 0.0, {"vendi": 5.0, "vendi_by_prompt": {"0": 2.0, "1": 8.0}})
        for iteration, (prompt, vendi) in enumerate([("0", 2.0), ("1", 8.0), ("0", 1.0), ("1", 4.0)], 1):
            db.add_iteration(iteration, 0.5, {"vendi": vendi, "vendi_by_prompt": {prompt: vendi}})
        past = history(run, db)
    assert past.window == 1
    assert [r["variety"] for r in past.rows[1:]] == [5.0, 5.0, 2.5, 2.5]  # not 2, 8, 1, 4
    assert {r["base"] for r in past.rows} == {5.0}


def test_after_a_turn_variety_is_that_of_the_start_s_kind_of_picture(tmp_path):
    run = write_run(tmp_path / "turned", iterations=0, prompts=("cat", "dog"), group_size=48)
    with run.database() as db:
        db.write("DELETE FROM iterations")
        db.add_iteration(0, 0.0, {"vendi": 8.0, "vendi_by_prompt": {"0": 8.0}})
        db.add_iteration(1, 0.5, {"vendi": 4.0, "vendi_by_prompt": {"0": 4.0}})
        db.add_iteration(2, 0.5, {"vendi": 2.0, "vendi_by_prompt": {"0": 2.0}, "yardstick": 0.5})
        rows = history(run, db).rows
    assert [r["variety"] for r in rows] == [8.0, 4.0, 4.0] and [r["by_prompt"]["0"] for r in rows] == [8.0, 4.0, 4.0]
    assert [r["yardstick"] for r in rows] == [1.0, 1.0, 0.5]


def test_history_starts_over_when_rows_were_rewritten(tmp_path):
    run = write_run(tmp_path / "again", iterations=6)
    with run.database() as db:
        before = history(run, db).epoch
        assert history(run, db).epoch == before
        db.forget_after(4)
        world = World("cat", seed=9)
        rows = world.pictures("train", 5, 0, 24)
        db.add_iteration(5, 0.5, metrics({0: rows}, {}), rows)
        after = history(run, db)
    assert after.epoch == before + 1
    assert [r["iteration"] for r in after.rows] == list(range(6))


def test_numbers_that_json_cannot_carry_become_null(tmp_path):
    run = write_run(tmp_path / "nan", iterations=2)
    with run.database() as db:
        db.add_iteration(3, 0.5, {"vendi": float("nan"), "reward": float("inf"), "look_shares": {}})
        json.dumps(history(run, db).since(-1), allow_nan=False)
        json.dumps(head.head(run, db), allow_nan=False)


def test_head_tells_dials_in_force_and_time_left(run):
    with run.database(readonly=True) as db:
        told = head.head(run, db)
    assert told["dials"]["creative_beta"] == 0.5 and told["dials"]["sa_reg_steps"] == 0
    assert told["left"] == pytest.approx(0.5 * (400 - 30))
    assert (told["state"], told["alive"]) == ("stopped", False)


def test_a_trainer_that_vanished_is_died_and_its_log_is_shown(tmp_path):
    run = write_run(tmp_path / "gone", iterations=25, state="running", pid=2**22 + 12345)
    run.log.write_text("Killed\n")
    with run.database(readonly=True) as db:
        told = head.head(run, db)
    assert told["state"] == "died" and told["word"] == "Failed" and not told["alive"]
    assert "Saved at 20." in told["message"] and told["details"] == "Killed\n"


def test_a_start_is_preparing_while_its_process_lives(tmp_path):
    run = folder.create(tmp_path / "slow", RunConfig())
    status = {"state": "preparing", "pid": None, "heartbeat": time.time() - 60}
    assert started.state(run, status) == "died"  # nobody here started it
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started.remember(run, process)
    assert started.state(run, status) == "preparing"
    process.communicate(b"\n")
    assert started.state(run, {**status, "heartbeat": time.time()}) == "died"  # at once, not after ten seconds
    assert started.state(run, {**status, "state": "failed"}) == "failed"


def test_a_refused_turn_is_told_until_the_next_one(tmp_path):
    run = write_run(tmp_path / "refused", iterations=1)
    with run.database() as db:
        number = db.send("set", changes={"pull": 3})
        db.answer(number, "pull: no.")
        assert head.head(run, db)["refused"] == [{"changes": {"pull": 3}, "answer": "pull: no."}]
        db.answer(db.send("set", changes={"pull": 0.1}))
        assert head.head(run, db)["refused"] == []


def test_presets_are_measured_only_by_runs_that_cost_the_same(tmp_path):
    assert all(card["measured"] is None for card in presets.cards(tmp_path))
    first = presets.cards(tmp_path)[0]
    values = {k: v for k, v in first["values"].items() if k not in ("prompts", "prompts_per_iteration", "iterations")}
    write_run(tmp_path / "once", iterations=12, **values)
    told = {card["name"]: card["measured"] for card in presets.cards(tmp_path)}
    assert told["collapse-demo"]["pace"] == 0.5 and told["collapse-demo"]["seconds"] == 0.5 * first["values"]["iterations"]
    assert told["diverse-grpo"] is None  # a leash costs more
    assert told["flow-grpo"] is None  # two prompts an iteration


def test_describe_counts_changes_of_the_method_only():
    demo = presets.load("collapse-demo")
    assert presets.describe(demo) == {"name": "collapse-demo", "title": "Collapse demo", "changes": 0}
    assert presets.describe(demo.with_changes(prompts=("dog",), iterations=7, seed=3))["changes"] == 0
    assert presets.describe(demo.with_changes(creative_max=9.0))["changes"] == 1


def test_check_names_the_field_in_plain_words(tmp_path):
    good = RunConfig().model_dump(mode="json")
    assert setup.check(good, "fine-01", tmp_path)["problems"].keys() <= {"model"}  # the model may not be built yet
    long_leash = setup.check({**good, "sa_reg_steps": 12}, "fine-01", tmp_path)["problems"]["sa_reg_steps"]
    assert long_leash == "Leash length is 12, the run has 10 steps. Use 0 to 10."
    assert "no reward" in setup.check({**good, "rewards": {"beauty": 1}}, "fine-01", tmp_path)["problems"]["rewards"]
    for bad in ("", "../up", "a b", "x" * 61, "<b>"):
        assert "name" in setup.check(good, bad, tmp_path)["problems"]
    (tmp_path / "taken").mkdir()
    assert "taken-01 is free" in setup.check(good, "taken", tmp_path)["problems"]["name"]


def test_model_place(tmp_path):
    assert setup.model_place("/no/such/folder")["here"] is False
    assert "model_index.json" in setup.model_place(str(tmp_path))["words"]
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"}')
    assert setup.model_place(str(tmp_path)) == {"here": True, "hub": False, "words": "Ready"}
    hub = setup.model_place("nobody/nothing-here")
    assert hub["hub"] and not hub["here"] and "not on this computer" in hub["words"]


def test_every_turn_of_a_long_run_is_told(tmp_path):
    run = write_run(tmp_path / "turned", iterations=4)
    with run.database() as db:
        for n in range(120):
            db.add_event("dial", 1 + n % 4, name="creative_beta", old=n / 1000, new=(n + 1) / 1000)
    with run.database(readonly=True) as db:
        assert [t["new"] for t in head.head(run, db)["turns"]][0] == 0.001 and len(head.head(run, db)["turns"]) == 120
