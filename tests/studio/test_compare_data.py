"""What Compare answers, without a browser and without a model: sides, measures, who draws, and the sheet."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from fake_sampler import FakeSampler, colour, drawn, look, measured
from fastapi.testclient import TestClient
from PIL import Image
from sample_run import write_run

from core.errors import UserError
from core.grids import GAP, HEAD, MARGIN, SEED
from core.runs import checkpoints, compare
from core.runs.compare import BASE, EVERY, MEASURED, OPENED, SHOWN, THROUGH, Store
from studio.data import compare as data
from studio.data.compare import CELLS, SEEDS, Ask
from studio.shell import build

URL = "http://127.0.0.1:7860"
OWN = {"Origin": URL}


def save(run, *iterations: int) -> None:
    for iteration in iterations:
        checkpoints.save(run, iteration, {"lora/x": np.zeros(1, np.float32)}, {}, keep=10_000)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of two prompts with checkpoints after 20 and 40."""
    run = write_run(tmp_path_factory.mktemp("runs") / "cats", iterations=12, prompts=("cat", "dog"))
    save(run, 20, 40)
    return run


@pytest.fixture(autouse=True)
def sampler(monkeypatch, made):
    """No sampler is started unless a test says so; what was asked for and made is forgotten after each test."""
    fake = FakeSampler()
    monkeypatch.setattr(compare, "start_sampler", fake)
    monkeypatch.setattr(data, "_samplers", {})
    yield fake
    fake.end()
    for file in made.path.glob("compare.db*"):
        file.unlink()


@pytest.fixture
def idle(monkeypatch):
    """A sampler that never says anything."""
    calls = []

    class Process:
        def poll(self):
            return None

    monkeypatch.setattr(compare, "start_sampler", lambda run: calls.append(run.name) or Process())
    return calls


def ask(**body) -> Ask:
    return Ask.read({"page": "test", **body})


def until(run, question: Ask, done, seconds: float = 10.0) -> dict:
    end = time.time() + seconds
    while True:
        answer = data.answer(run, question)
        if done(answer) or time.time() > end:
            assert done(answer), answer["maker"]
            return answer
        time.sleep(0.02)


def wants(run):
    with Store(run) as store:
        return store.wants()


def test_what_is_missing_is_asked_for_and_then_shown(made, sampler):
    first = data.answer(made, ask())
    assert first["missing"] == 2 * SEEDS and first["checkpoints"] == [20, 40] and first["right"] == [40, 100] and first["left"] == [0, 100]
    answer = until(made, ask(), lambda a: a["missing"] == 0 and a["changed"]["right"])
    assert [t["seed"] for t in answer["tiles"]["left"]] == list(range(16)) == answer["seeds"]
    assert [t["look"] for t in answer["tiles"]["right"]] == [look(40, 100, s) for s in range(16)]
    assert answer["changed"]["left"] == measured(0, BASE) and answer["changed"]["right"] == measured(0, (40, 100))
    assert answer["n"] == MEASURED and sampler.starts == 1
    again = data.answer(made, ask())
    assert again["maker"]["state"] == "idle" and sampler.starts == 1


def test_pictures_are_wanted_first_then_the_seed_then_measures(made, idle):
    data.answer(made, ask(seed=3, every=True))
    found = wants(made)
    assert [w.lane for w in found] == [SHOWN] * 2 + [THROUGH] * 3 + [OPENED] * 2 + [EVERY] * 2
    assert [w.side for w in found[:5]] == [BASE, (40, 100), (0, 100), (20, 100), (40, 100)]
    assert all(w.seeds == (3,) for w in found[2:5]) and {w.prompt for w in found[7:]} == {1}
    data.answer(made, ask(seed=3))
    assert [w.lane for w in wants(made)] == [SHOWN] * 2 + [THROUGH] * 3 + [OPENED] * 2


def test_at_strength_zero_both_sides_are_the_base_and_nothing_is_made_twice(made, idle):
    answer = data.answer(made, ask(right=[40, 0]))
    assert answer["right"] == [40, 0] and [w.side for w in wants(made)] == [BASE, BASE]
    with Store(made) as store:
        store.add(0, BASE, [drawn(0, BASE, s) for s in range(16)])
    answer = data.answer(made, ask(right=[40, 0]))
    assert answer["missing"] == 0 and answer["tiles"]["left"] == answer["tiles"]["right"]


def test_any_two_checkpoints_can_take_the_sides(made, idle):
    answer = data.answer(made, ask(left=[20, 100], right=[40, 65]))
    assert (answer["left"], answer["right"]) == ([20, 100], [40, 65])
    assert [w.side for w in wants(made) if w.lane == SHOWN] == [(20, 100), (40, 65)]


def test_another_run_can_stand_on_the_left_by_the_text_of_the_prompt(made, idle, tmp_path):
    other = write_run(tmp_path / "dogs", iterations=2, prompts=("owl", "dog"))
    save(other, 10)
    with Store(other) as store:
        store.add(1, (10, 100), [drawn(1, (10, 100), s) for s in range(16)])
        store.add_measure(1, (10, 100), measured(1, (10, 100)))
    answer = data.answer(made, ask(prompt=1, left=[-1, 100]), other)
    assert answer["left"] == [10, 100] and all(answer["tiles"]["left"]) and answer["changed"]["left"] == measured(1, (10, 100))
    assert {w.side for w in wants(other)} == {(10, 100)} and {w.prompt for w in wants(other)} == {1}
    assert {w.side for w in wants(made) if w.lane == SHOWN} == {(40, 100)}
    row = next(r for r in answer["prompts"] if r["prompt"] == 1)
    assert row["left"] == measured(1, (10, 100))
    with pytest.raises(UserError, match="dogs has no prompt “cat”"):
        data.answer(made, ask(prompt=0, left=[-1, 100]), other)


def test_every_prompt_is_listed_and_the_largest_loss_comes_first(made, idle):
    with Store(made) as store:
        for prompt in (0, 1):
            for where in (BASE, (40, 100)):
                store.add_measure(prompt, where, measured(prompt, where))
    rows = data.answer(made, ask())["prompts"]
    assert [r["prompt"] for r in rows] == [1, 0] and [r["loss"] for r in rows] == pytest.approx([0.8, 0.4])
    assert [r["loss"] for r in data.answer(made, ask(right=[20, 100]))["prompts"]] == [None, None]


def test_a_seed_is_followed_through_at_most_twelve_checkpoints_first_and_last_among_them(made, idle, tmp_path):
    long = write_run(tmp_path / "long", iterations=2)
    save(long, *range(5, 155, 5))
    cells = data.answer(long, ask(seed=7))["through"]
    shown = [c["checkpoint"] for c in cells]
    assert len(shown) == CELLS + 1 and shown[:2] == [0, 5] and shown[-1] == 150
    gaps = np.diff(shown[1:])
    assert set(gaps) <= {10, 15}
    assert [c["checkpoint"] for c in data.answer(made, ask(seed=7))["through"]] == [0, 20, 40]


def test_a_checkpoint_that_was_dropped_is_still_shown_where_it_was_drawn_and_never_wanted(made, idle):
    with Store(made) as store:
        store.add(0, (10, 100), [drawn(0, (10, 100), 7)])
    answer = data.answer(made, ask(seed=7))
    assert [(c["checkpoint"], "id" in c) for c in answer["through"]] == [(0, False), (10, True), (20, False), (40, False)]
    assert 10 not in {w.checkpoint for w in wants(made)}


@pytest.mark.parametrize(
    "state, words",
    [
        ("running", "Pictures after iteration 13"),
        ("preparing", "Pictures once training has begun"),
        ("stopping", "Pictures once training has stopped"),
    ],
)
def test_a_trainer_serves_and_no_sampler_is_started(idle, tmp_path, state, words):
    import psutil

    run = write_run(tmp_path / "live", iterations=12, state=state, pid=psutil.Process().pid)
    maker = data.answer(run, ask())["maker"]
    assert (maker["state"], maker["words"], maker["iteration"], maker["alive"]) == ("waiting", words, 12, True) and idle == []


def test_paused_trainer_draws_at_once(idle, tmp_path):
    import psutil

    run = write_run(tmp_path / "paused", iterations=12, state="paused", pid=psutil.Process().pid)
    assert data.answer(run, ask())["maker"]["state"] == "ready" and idle == []


def test_a_sampler_that_fails_is_told_once_and_tried_again_only_when_asked(made, sampler):
    sampler.fault = "model: it is gone."
    told = until(made, ask(), lambda a: a["maker"]["state"] == "failed")["maker"]
    assert told["words"] == "model: it is gone." and told["details"] == "Traceback: <b>"
    for _ in range(3):
        data.answer(made, ask())
    assert sampler.starts == 1
    sampler.fault = ""
    data.answer(made, ask(again=True))
    assert sampler.starts == 2
    until(made, ask(), lambda a: a["missing"] == 0)


def test_a_sampler_that_cannot_even_start_is_not_started_for_ever(made, monkeypatch):
    starts = []

    class Broken:
        def poll(self):
            return 1

    monkeypatch.setattr(compare, "start_sampler", lambda run: starts.append(1) or Broken())
    data.answer(made, ask())
    told = [data.answer(made, ask())["maker"] for _ in range(3)][-1]
    assert told["state"] == "failed" and "could not be started" in told["words"] and len(starts) == 1


class Process:
    """In place of what start_sampler gives: alive until it is told that it ended."""

    def __init__(self):
        self.code = None

    def poll(self):
        return self.code


def test_a_sampler_of_an_earlier_studio_that_died_is_followed_by_a_new_one(made, monkeypatch):
    started = []
    monkeypatch.setattr(compare, "start_sampler", lambda run: started.append(Process()) or started[-1])
    with Store(made) as store:  # the computer was switched off while it drew
        store._write("INSERT OR REPLACE INTO sampler (id, pid, process_started, state) VALUES (0, ?, 1.0, 'ready')", 2**22 + 1)
    assert [data.answer(made, ask())["maker"]["state"] for _ in range(3)] == ["loading"] * 3 and len(started) == 1
    started[0].code = -9  # the new one is ended too: now it is told, and does not come again by itself
    told = [data.answer(made, ask())["maker"] for _ in range(3)][-1]
    assert told["state"] == "failed" and "stopped by itself" in told["words"] and len(started) == 1
    assert data.answer(made, ask(again=True))["maker"]["state"] == "loading" and len(started) == 2


def test_two_pages_that_ask_at_once_start_one_sampler(made, monkeypatch):
    started = []

    def start(run):
        time.sleep(0.2)  # a process takes its time to begin
        started.append(Process())
        return started[-1]

    monkeypatch.setattr(compare, "start_sampler", start)
    pages = [threading.Thread(target=data.answer, args=(made, ask(page=name))) for name in "abcd"]
    for page in pages:
        page.start()
    for page in pages:
        page.join()
    assert len(started) == 1


def test_trying_again_ends_a_sampler_that_failed_and_keeps_one_that_works(made, monkeypatch):
    class Living(Process):
        def kill(self):
            self.code = -9

        def wait(self):
            assert self.code is not None

    started = []
    monkeypatch.setattr(compare, "start_sampler", lambda run: started.append(Living()) or started[-1])
    data.answer(made, ask())
    with Store(made) as store:
        store.claim()
        store.tell("ready")
        assert data.answer(made, ask(again=True))["maker"]["state"] == "ready" and len(started) == 1 and started[0].code is None
        store.tell("failed", "There is not enough memory for the model.")  # and has not ended yet
    assert data.answer(made, ask(again=True))["maker"]["state"] == "loading" and len(started) == 2
    assert started[0].code is not None and started[1].code is None


def test_weights_that_are_gone_are_told_at_the_side_that_wants_them(made, idle):
    data.answer(made, ask(right=[20, 100]))
    with Store(made) as store:
        store.refuse(20, "The weights after 20 are not kept any more. Choose another checkpoint.")
    assert "not kept any more" in data.answer(made, ask(right=[20, 100]))["maker"]["problem"]
    assert "problem" not in data.answer(made, ask(right=[40, 100]))["maker"]


def test_newest_weights_are_the_base_until_something_is_saved(idle, tmp_path):
    run = write_run(tmp_path / "young", iterations=3)
    answer = data.answer(run, ask())
    assert answer["right"] == [0, 100] and answer["checkpoints"] == []


@pytest.mark.parametrize(
    "body, field",
    [
        ({"first": -1}, "first"), ({"first": 2**31}, "first"), ({"first": "0"}, "first"), ({"first": True}, "first"), ({"prompt": 2}, "prompt"),
        ({"right": [40, 151]}, "strength"), ({"right": [40]}, "right"), ({"left": "base"}, "left"), ({"left": [-2, 100]}, "strength"), ({"seed": -4}, "seed"),
        ({"take": "now"}, "take"),
    ],
)  # fmt: skip
def test_wrong_questions_name_their_field(made, idle, body, field):
    with pytest.raises(UserError) as wrong:
        data.answer(made, Ask.read(body))
    assert wrong.value.field == field


# --- routes -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def client(made):
    return TestClient(build(made.path.parent, starter=lambda run, resume=False: None), base_url=URL)


def test_routes_show_pictures_and_refuse_what_is_not_there(client, made, sampler):
    def post(body):
        return client.post("/api/runs/cats/compare", json=body, headers=OWN)

    assert client.post("/api/runs/cats/compare", json={}).status_code == 403  # a page elsewhere may not make it draw
    assert post({"first": -1}).json()["field"] == "first"
    end = time.time() + 10
    while (answer := post({"page": "a"}).json())["missing"] and time.time() < end:
        time.sleep(0.02)
    number = answer["tiles"]["right"][2]["id"]
    picture = client.get(f"/api/runs/cats/compare/picture/{number}.webp")
    assert picture.headers["content-type"] == "image/webp" and "immutable" in picture.headers["cache-control"]
    assert Image.open(io.BytesIO(picture.content)).convert("RGB").getpixel((9, 9)) == colour(0, 40, 100, 2)
    assert client.get("/api/runs/cats/compare/picture/1.webp").status_code == 404
    assert client.post("/api/runs/cats/compare", json={"other": "../.."}, headers=OWN).status_code == 404
    assert client.get("/api/runs/cats/compare?ask=[]").json()["field"] == "ask"


def test_reading_asks_for_nothing(client, made, sampler):
    answer = client.get("/api/runs/cats/compare").json()
    assert answer["missing"] == 2 * SEEDS and answer["maker"]["state"] == "watching" and sampler.starts == 0
    assert not compare.path(made).exists()


@pytest.mark.parametrize("layout", ["pairs", "grids"])
def test_the_sheet_holds_what_is_shown(client, made, layout):
    def sheet(question: str = '{"right": [40, 65], "first": 5}'):
        return client.get("/api/runs/cats/compare/sheet.png", params={"layout": layout, "ask": question})

    with Store(made) as store:
        store.add(0, BASE, [drawn(0, BASE, s) for s in range(5, 21)])
        store.add(0, (40, 65), [drawn(0, (40, 65), s) for s in range(5, 20)])
        assert sheet().json()["error"].startswith("1 of 32 pictures are not made yet.")
        store.add(0, (40, 65), [drawn(0, (40, 65), 20)])
    answer = sheet()
    assert answer.headers["content-disposition"] == 'attachment; filename="cats-cat-5.png"'
    image = Image.open(io.BytesIO(answer.content))
    told = {k.removeprefix("manymodes:"): v for k, v in image.text.items()}
    assert (told["prompt"], told["run"], told["iteration"], told["strength"]) == ("cat", "cats", "40", "0.65")
    assert told["seeds"] == " ".join(map(str, range(5, 21))) and told["left"] == "base" and told["right"] == "cats, iteration 40, strength 0.65"
    pixels = np.array(image)
    frame = 64 + 2 * GAP
    x, y = (
        (MARGIN + 1 * (2 * frame + GAP + MARGIN) + frame + GAP + GAP, HEAD + 2 * (frame + SEED + 2 * GAP) + SEED + GAP)
        if layout == "pairs"
        else (2 * MARGIN + 4 * (64 + GAP) + GAP + GAP + 64 + GAP, HEAD + GAP + 2 * (64 + SEED + GAP))
    )
    assert (pixels[y : y + 64, x : x + 64] == colour(0, 40, 65, 5 + 9)).all()  # the tenth seed, right side
    assert client.get("/api/runs/cats/compare/sheet.png", params={"layout": "spiral"}).status_code == 422


def test_a_server_that_ends_takes_its_samplers_with_it_and_no_others(made, monkeypatch, tmp_path):
    begun = []

    def start(run):
        begun.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return begun[-1]

    monkeypatch.setattr(compare, "start_sampler", start)
    elsewhere = data._samplers[tmp_path / "dogs"] = start(None)  # of another server in this process
    with TestClient(build(made.path.parent), base_url=URL) as client:
        assert client.post("/api/runs/cats/compare", json={"page": "x"}, headers=OWN).json()["maker"]["state"] == "loading"
        own = begun[-1]
        assert own is not elsewhere and own.poll() is None
    assert own.poll() is not None and elsewhere.poll() is None
    data.end_samplers()  # as when the whole process ends
    assert elsewhere.poll() is not None and data._samplers == {}
