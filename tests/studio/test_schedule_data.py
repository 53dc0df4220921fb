"""The schedule that the studio draws, against tables written by hand and against the plan itself."""

from __future__ import annotations

import json

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from sample_run import write_run

from core.config import build
from core.errors import UserError
from core.plan import plan
from core.presets import load_preset, preset_names
from studio.data import schedule
from studio.routes import install_errors, routes


def course(config, recorded=None, turns=()):
    parts = [(1, config)]
    for first, changes in turns:
        parts.append((first, parts[-1][1].with_changes(**changes)))
    return schedule.Course(tuple(parts), config.iterations, recorded or {})


def test_sliding_window_has_a_row_for_each_position():
    config = build({"steps": 8, "iterations": 9, "window": "mix_progressive", "window_size": 3, "window_interval": 2, "window_stride": 2})
    drawn = schedule.of_config(config)
    assert [(r["from"], r["to"], r["trained"]) for r in drawn["rows"]] == [
        (1, 2, [0, 1, 2]), (3, 4, [2, 3, 4]), (5, 6, [4, 5]), (7, 8, [0, 1, 2]), (9, 9, [2, 3, 4]),
    ]  # fmt: skip
    assert drawn["now"] | {"trained": [0, 1, 2], "iteration": 1, "start": 0, "known": True} == drawn["now"]


def test_every_preset_is_drawn_as_it_is_planned():
    for name in (*preset_names(), *preset_names("rivals")):
        config = load_preset(name).with_changes(iterations=40)
        drawn = schedule.of_config(config)
        for row in drawn["rows"]:
            for iteration in range(row["from"], row["to"] + 1):
                p = plan(config, iteration)
                if row["known"]:
                    assert (row["start"], tuple(row["trained"]), tuple(row["stochastic"])) == (p.start, p.trained, p.stochastic), name
        assert [r["from"] for r in drawn["rows"]] == [1, *(r["to"] + 1 for r in drawn["rows"][:-1])] and drawn["rows"][-1]["to"] == 40
        assert all(row["known"] for row in drawn["rows"]) == (config.window != "hrf_dynamic")
        noise = plan(config, 1).prompt_noise
        assert drawn["lanes"][0]["noise"] == (None if noise is None else pytest.approx([s.noise for s in noise], abs=1e-5))


def test_long_run_whose_window_stands_has_one_row():
    for kind, known in (("full", True), ("mix_frozen", True), ("hrf_dynamic", False)):
        (row,) = schedule.of_config(build({"iterations": 100_000, "window": kind}))["rows"]
        assert (row["from"], row["to"], row["known"]) == (1, 100_000, known)


@pytest.mark.parametrize("iterations", [400, 5000, 100_000])
@pytest.mark.parametrize("kind", ["mix_random", "mix_progressive", "hrf_scheduled"])
def test_long_run_is_merged_into_few_rows_with_the_share_of_iterations_that_train_a_step(kind, iterations):
    config = build({"iterations": iterations, "window": kind, "window_interval": 1 if kind != "hrf_scheduled" else iterations // 2})
    rows = schedule.of_config(config)["rows"]
    assert 1 < len(rows) <= schedule.ROWS and rows[-1]["to"] == iterations
    assert all(a["to"] + 1 == b["from"] for a, b in zip(rows, rows[1:]))
    if kind == "hrf_scheduled":  # from step 5 on every iteration of the early half trains; the late half trains its last step always
        early, late = rows[2], rows[-2]
        assert early["share"][5:9] == [1] * 4 and late["share"][:5] == [0] * 5 and late["share"][8] == 1 and late["share"][9] == 0
    elif iterations <= schedule.EXACT:  # each row is the exact share
        row = rows[3]
        inside = [plan(config, n).trained for n in range(row["from"], row["to"] + 1)]
        assert row["share"] == pytest.approx([sum(i in t for t in inside) / len(inside) for i in range(10)], abs=1e-3)
    else:  # a sample keeps to the law: five starts, all alike; or eight positions one after the other
        mean = [sum(r["share"][i] for r in rows) / len(rows) for i in range(10)]
        law = [0.2, 0.4, 0.6, 0.8, 0.8, 0.6, 0.4, 0.2, 0, 0] if kind == "mix_random" else [1 / 8, 2 / 8, 3 / 8, *[4 / 8] * 5, 0, 0]
        assert mean == pytest.approx(law, abs=0.08) and mean[8] == mean[9] == 0


def test_turns_change_what_is_to_come_and_the_record_counts_for_what_is_past():
    config = build({"steps": 8, "iterations": 10, "sa_reg_steps": 2})
    whole = course(config, {1: (0, list(range(7))), 2: (0, [1, 2])}, [(6, {"window": "mix_frozen", "window_size": 2}), (8, {"sa_reg_steps": 4})])
    drawn = schedule.schedule(whole, 3)
    assert [(r["from"], r["to"], r["trained"]) for r in drawn["rows"]] == [
        (1, 1, list(range(7))), (2, 2, [1, 2]), (3, 5, list(range(7))), (6, 10, [0, 1]),
    ]  # fmt: skip
    assert [(lane["from"], lane["to"], lane["leash"], lane["window"]) for lane in drawn["lanes"]] == [
        (1, 5, 2, "full"), (6, 7, 2, "mix_frozen"), (8, 10, 4, "mix_frozen"),
    ]  # fmt: skip


def test_start_that_is_chosen_live_is_known_where_it_was_recorded_and_open_after():
    config = build({"steps": 8, "iterations": 6, "window": "hrf_dynamic"})
    drawn = schedule.schedule(course(config, {1: (2, [2, 3, 4, 5, 6]), 2: (4, [4, 5, 6])}), 3)
    assert [(r["from"], r["to"], r["start"], r["known"]) for r in drawn["rows"]] == [(1, 1, 2, True), (2, 2, 4, True), (3, 6, 0, False)]
    assert (drawn["now"]["trained"], drawn["now"]["known"], drawn["now"]["guessed"]) == ([4, 5, 6], False, True)
    assert not schedule.of_config(config)["now"]["guessed"]


def test_prompt_noise_that_fades_over_the_run_comes_in_pieces_and_an_unknown_clock_is_called_so():
    config = build({"iterations": 80, "prompt_noise_scale": 0.2, "prompt_noise_iter_decay": "linear"})
    lanes = schedule.of_config(config)["lanes"]
    assert len(lanes) == 40 and [lane["to"] for lane in lanes][-1] == 80
    top = [lane["noise"][0] for lane in lanes]
    assert top == sorted(top, reverse=True) and top[0] == pytest.approx(0.2, abs=0.005) and top[-1] < 0.05
    by_level = build({"prompt_noise_scale": 0.2, "prompt_noise_clock": "sigma"})
    assert not schedule.of_config(by_level)["lanes"][0]["certain"]
    levels = [1 - i / 20 for i in range(10)] + [0.0]  # a model that stays noisy for longer
    known = schedule.schedule(schedule.Course(((1, by_level),), 10, {}, levels), 1)["lanes"][0]
    assert known["certain"] and known["noise"][2] == pytest.approx(0.2) and known["fade"] is None


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    run = write_run(runs / "turned", iterations=6, turn_at=3, end=20, window="mix_progressive", window_interval=2, prompt_noise_scale=0.1, prompt_noise_clock="sigma")
    with run.database() as db:
        for row in db.iterations():
            row["window"] = [0, [7, 8]] if row["iteration"] == 2 else None
            row["sigmas"] = [1 - i / 20 for i in range(10)] + [0.0] if row["iteration"] == 0 else None
            metrics = {k: v for k, v in row.items() if k not in ("iteration", "time", "duration")}
            db.write("UPDATE iterations SET metrics = ? WHERE iteration = ?", json.dumps(metrics), row["iteration"])
    app = FastAPI()
    install_errors(app)
    app.include_router(routes(runs, lambda run, **_: None))
    return TestClient(app)


def test_schedule_of_a_run_over_its_route(client):
    found = client.get("/api/runs/turned/schedule").json()
    assert [r["trained"] for r in found["rows"]][:3] == [[0, 1, 2, 3], [7, 8], [1, 2, 3, 4]] and found["now"]["iteration"] == 7
    assert found["lanes"][0]["certain"] and [lane["from"] for lane in found["lanes"]] == [1, 3]
    turned = client.post("/api/runs/turned/schedule", json={"changes": {"window": "full", "sa_reg_steps": 3}, "from": 8}).json()
    assert turned["now"]["iteration"] == 8 and turned["now"]["trained"] == list(range(9)) and turned["lanes"][-1]["leash"] == 3
    assert turned["rows"][:4] == found["rows"][:4]  # what is past stays
    assert client.get("/api/runs/turned/schedule").json() == found


def test_a_film_is_told_and_served_where_there_is_one(client, tmp_path):
    run = write_run(tmp_path / "filmed", iterations=1)
    with run.database(readonly=True) as db:
        assert schedule.of_run(run, db)["film"] == 0 == schedule.of_config(build({}))["film"]
        Image.new("RGB", (7 * 32, 32)).save(run.film)
        assert schedule.of_run(run, db)["film"] == 7
    assert client.get("/api/runs/turned/film.webp").status_code == 404
    app = FastAPI()
    app.include_router(routes(tmp_path, lambda run, **_: None))
    served = TestClient(app).get("/api/runs/filmed/film.webp")
    assert served.headers["content-type"] == "image/webp" and served.content == run.film.read_bytes()


def test_settings_that_do_not_go_together_are_refused_with_the_config_s_own_sentence(client):
    refused = client.post("/api/runs/turned/schedule", json={"changes": {"window_size": 9}, "from": 7})
    assert refused.status_code == 400 and refused.json()["field"] == "window" and "window size is 9" in refused.json()["error"]
    refused = client.post("/api/schedule", json={"config": {"steps": 10, "sa_reg_steps": 11}})
    assert refused.status_code == 400 and refused.json() == {
        "error": "sa_reg_steps: Leash length is 11, the run has 10 steps. Use 0 to 10.", "field": "sa_reg_steps",
    }  # fmt: skip
    assert client.post("/api/schedule", json={"config": 3}).status_code == 400
    assert client.post("/api/runs/turned/schedule", json={"changes": {}, "from": "x"}).status_code == 400
    with pytest.raises(UserError):
        build({"window_size": 0})
