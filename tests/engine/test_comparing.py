"""Compare on a tiny model: the right pictures, measures that agree with the evaluation, and a training that never notices."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from working import answers, metrics, pictures, send, status, work

from core import base, comparing, evaluation, loading
from core.comparing import Comparer, Gap, serve
from core.errors import UserError
from core.pictures import to_uint8
from core.runs import checkpoints, compare
from core.runs.compare import BASE, MEASURED, OPENED, SHOWN, THROUGH, Store, Want
from core.training import SAMPLE

never = lambda: False  # noqa: E731


def shown(*sides, seeds=(0, 1, 2, 3), prompt: int = 0) -> list[Want]:
    return [Want(SHOWN, prompt, *side, tuple(seeds)) for side in sides]


def measured(*sides, prompt: int = 0) -> list[Want]:
    return [Want(OPENED, prompt, *side, tuple(range(MEASURED)), True) for side in sides]


def state(trainer) -> dict:
    weights = {name: p.detach().clone() for name, p in trainer.adapter.items()}
    return {"weights": weights, "torch": torch.get_rng_state(), "numpy": np.random.get_state()[1].tolist(), "between": trainer.between}


def same(a: dict, b: dict) -> bool:
    return (
        all(torch.equal(a["weights"][n], b["weights"][n]) for n in a["weights"])
        and torch.equal(a["torch"], b["torch"]) and a["numpy"] == b["numpy"] and a["between"] is b["between"]
    )  # fmt: skip


@pytest.fixture
def finished(new_run):
    """finished(**changes): a run of 4 iterations with checkpoints at 2 and 4 whose weights moved far."""

    def make(**changes):
        run = new_run(**{"learning_rate": 0.01, **changes})
        assert work(run) == 0 and checkpoints.all_of(run) == [2, 4]
        return run

    return make


def comparer_of(run, store) -> Comparer:
    return Comparer(run, loading.open_run(run), store, base.load(run.path / "base.npz"))


def everything(comparer) -> int:
    steps = 0
    while comparer.step(never):
        steps += 1
    return steps


def stored(store, where, seeds=(0, 1, 2, 3), prompt: int = 0) -> np.ndarray:
    found = store.pictures(prompt, where, seeds)
    return np.stack([np.asarray(Image.open(io.BytesIO(store.picture(found[s]["id"])))) for s in seeds])


def test_each_side_has_its_own_pictures_to_the_last_bit(finished):
    run = finished()
    with Store(run) as store:
        comparer = comparer_of(run, store)
        before = state(comparer.trainer)
        store.want("page", shown((0, 100), (2, 100), (4, 100), (4, 65)))
        assert everything(comparer) == 4
        assert same(before, state(comparer.trainer))
        seeds, trainer = [0, 1, 2, 3], comparer.trainer
        plain = {(0, 100): to_uint8(trainer.pictures(0, seeds, purpose=SAMPLE, base=True)), (4, 100): to_uint8(trainer.pictures(0, seeds, purpose=SAMPLE, base=False))}
        trainer.backbone.set_strength(0.65)
        plain[4, 65] = to_uint8(trainer.pictures(0, seeds, purpose=SAMPLE, base=False))
        trainer.backbone.set_strength(1.0)
        loading.restore(trainer, run, 2)
        plain[2, 100] = to_uint8(trainer.pictures(0, seeds, purpose=SAMPLE, base=False))
        assert len({p.tobytes() for p in plain.values()}) == 4
        for where, expected in plain.items():
            assert np.array_equal(stored(store, where), expected), where


def test_rewards_looks_and_features_are_those_of_the_run(finished):
    run = finished()
    with Store(run) as store:
        comparer = comparer_of(run, store)
        store.want("page", shown((4, 100)))
        everything(comparer)
        trainer = comparer.trainer
        images = trainer.pictures(0, [0, 1, 2, 3], purpose=SAMPLE, base=False)
        quality = trainer.rewards.combine(trainer.rewards(images, ["cat"] * 4).raw)
        looks = comparer.prompts[0].looks.assign(trainer.perceptual.embed(images).numpy())
        found = store.pictures(0, (4, 100), range(4))
        assert [found[s]["reward"] for s in range(4)] == pytest.approx(quality.tolist(), abs=1e-6)
        assert [found[s]["look"] for s in range(4)] == looks.tolist()


def test_measures_agree_with_the_evaluation_of_the_same_pictures(finished, monkeypatch):
    """A second way to the same numbers: evaluation.Evaluator on seeds 0 to 47."""
    assert MEASURED == evaluation.PICTURES
    run = finished(prompts=["cat"])
    with Store(run) as store:
        comparer = comparer_of(run, store)
        store.want("page", measured(BASE, (4, 100)))
        everything(comparer)
        base_side, tuned = store.measure(0, BASE), store.measure(0, (4, 100))
    monkeypatch.setattr(comparer.trainer, "seeds", lambda *a: list(range(MEASURED)))
    evaluator = evaluation.Evaluator(comparer.trainer)
    for iteration, found in ((0, base_side), (4, tuned)):
        expected = evaluator.measure(iteration)
        assert found["n"] == MEASURED and found["reward"] == pytest.approx(expected.reward, abs=1e-4)
        assert found["looks"] == pytest.approx(expected.clip, rel=2e-2)  # features are kept in half precision
    assert base_side["looks"] != pytest.approx(tuned["looks"], rel=1e-3)
    assert sum(tuned["shares"]) == pytest.approx(1) and tuned["found"] == sum(s > 0 for s in tuned["shares"][:-1])


def test_measure_of_pictures_known_by_hand():
    """Two looks at right angles in features, two flat greys in pixels: 16 of 28 pairs differ."""
    from core.runs.database import pack

    grey = [pack(np.full(3 * 16 * 16, level)) for level in (0.25, 0.75)]
    rows = [{"reward": float(n % 2), "look": n % 2, "embedding": pack(np.eye(4)[n % 2]), "pixels": grey[n % 2]} for n in range(8)]
    alone = [{**r, "embedding": pack(np.eye(4)[0]), "look": 0, "pixels": grey[0]} for r in rows]
    both, one = comparing.measure(rows, rows, 3), comparing.measure(alone, rows, None)
    assert both["held_out"] == pytest.approx(0.5 * np.sqrt(16 / 28)) and one["held_out"] == 0
    assert both["spread"] == pytest.approx(16 / 28) and both["found"] == 2 and both["shares"] == [0.5, 0.5, 0, 0] and both["reward"] == 0.5
    assert both["looks"] == pytest.approx(np.exp(-sum(p * np.log(p) for p in ((1 + np.exp(-1)) / 2, (1 - np.exp(-1)) / 2))), rel=1e-5)
    assert one["looks"] == pytest.approx(1) and one["spread"] == pytest.approx(0, abs=1e-6) and one["found"] is None is one["shares"]


def test_newer_wish_stops_what_is_being_drawn(finished):
    run = finished()
    with Store(run) as store:
        comparer = comparer_of(run, store)
        before, calls = state(comparer.trainer), []
        store.want("page", shown((4, 80)))
        plain = comparer.trainer.velocity

        def slow(*args):
            calls.append(1)
            store.want("page", shown((4, 30)))
            time.sleep(comparing.LOOK_EVERY * 1.1)
            return plain(*args)

        comparer.trainer.velocity = slow
        assert comparer.step(never) and len(calls) == 1  # given up before the second denoising step
        comparer.trainer.velocity = plain
        assert same(before, state(comparer.trainer)) and store.pictures(0, (4, 80), range(4)) == {}
        assert everything(comparer) == 1 and len(store.pictures(0, (4, 30), range(4))) == 4


def test_weights_that_are_gone_are_told_and_nothing_else_waits(finished):
    run = finished()
    with Store(run) as store:
        comparer = comparer_of(run, store)
        store.want("page", shown((3, 100), (4, 100)))
        assert everything(comparer) == 2
        assert store.problems() == {3: "The weights after 3 are not kept any more. Choose another checkpoint."}
        assert len(store.pictures(0, (4, 100), range(4))) == 4


def test_too_little_memory_makes_fewer_at_once_and_then_says_so(finished, monkeypatch):
    run = finished()
    with Store(run) as store:
        comparer = comparer_of(run, store)
        plain, sizes = comparer.trainer.pictures, []

        def narrow(prompt, seeds, **options):
            sizes.append(len(seeds))
            if len(seeds) > room:
                raise torch.OutOfMemoryError
            return plain(prompt, seeds, **options)

        comparer.trainer.pictures, room, comparer.most = narrow, 2, 8
        store.want("page", shown((4, 100)))
        everything(comparer)
        assert sizes[:3] == [4, 4, 2] and len(store.pictures(0, (4, 100), range(4))) == 4
        room = 0
        store.want("page", shown((4, 50)))
        everything(comparer)
        assert "not enough memory" in store.problems()[4]


# --- beside a training ----------------------------------------------------------------------------------------------
def test_training_with_compare_in_between_is_the_same_bit_by_bit(new_run, at_iteration, prompt_answers):
    settings = {"iterations": 6, "updates_per_iteration": 2, "creative_beta": 0.5, "pull": 0.02}
    plain, compared = new_run("plain", **settings), new_run("compared", **settings)
    assert work(plain) == 0

    def ask(*wants, take=None):
        with Store(compared) as store:
            store.want("page", wants, take)

    at_iteration(1, lambda: ask(*shown(BASE, seeds=range(6))))
    at_iteration(2, lambda: ask(*shown(BASE), take=2))
    at_iteration(3, lambda: ask(*shown((2, 100), (2, 65)), *measured((2, 100)), take=3))
    at_iteration(5, lambda: ask(Want(THROUGH, 1, 4, 100, (9,)), *shown((4, 150), prompt=1)))
    assert work(compared) == 0
    with Store(compared) as store:
        sides = [(w.prompt, *w.side) for w in (*shown(BASE, (2, 100), (2, 65)), *shown((4, 150), prompt=1))]
        assert all(len(store.pictures(p, (c, s), range(4))) == 4 for p, c, s in sides) and len(store.pictures(1, (4, 100), [9])) == 1
        assert store.measure(0, (2, 100))["n"] == MEASURED
    assert compare.taken(compared) == [3]  # 2 is a checkpoint, 3 is not
    assert metrics(compared) == metrics(plain) and pictures(compared) == pictures(plain)
    for iteration in (4, 6):
        (a, told), (b, other) = (checkpoints.load(r, iteration) for r in (plain, compared))
        assert told == other and a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) for n in a)


def test_training_that_nobody_compares_makes_no_file(new_run):
    run = new_run(iterations=2)
    assert work(run) == 0 and not compare.path(run).exists()


def test_paused_in_the_middle_of_an_update_compare_sees_the_weights_before_it(new_run, at_micro_step, prompt_answers, monkeypatch):
    run = new_run(iterations=2, updates_per_iteration=2, learning_rate=0.01, checkpoint_every=100)
    seen = {}

    def pause():
        with Store(run) as store:
            store.want("page", shown(BASE), take=1)
        send(run, "pause")

    plain = Gap.serve

    def watched(gap):
        if not plain(gap) and compare.taken(run):
            adapter = {n: p.detach().clone() for n, p in gap.trainer.adapter.items()}
            seen.update(now=adapter, iteration=gap.iteration)
            send(run, "resume")
        return False

    monkeypatch.setattr(Gap, "serve", watched)
    per_update = 3  # trained steps of the one chunk of an update
    at_micro_step(2 * per_update + 2 * per_update - 1, pause)  # second iteration, second update
    assert work(run) == 0 and seen["iteration"] == 1 and compare.taken(run) == [1]
    again = new_run("again", iterations=1, updates_per_iteration=2, learning_rate=0.01)
    assert work(again) == 0
    from safetensors.numpy import load_file

    kept, expected = load_file(compare.weights_file(run, 1)), checkpoints.load(again, 1)[0]
    assert all(np.array_equal(kept[n], expected[n]) for n in kept) and len(kept) > 10
    assert any(not np.array_equal(kept[f"lora/{n}"], seen["now"][n].numpy()) for n in seen["now"])  # the first update was made


def test_stop_is_answered_while_compare_draws(new_run, at_iteration, prompt_answers, monkeypatch):
    run, began = new_run(iterations=50), []
    plain = Comparer._draw

    def watched(self, wanted, interrupted):
        velocity = self.trainer.velocity

        def slow(*args):
            began.append(time.monotonic())
            if len(began) == 2:
                send(run, "stop")
            return velocity(*args)

        self.trainer.velocity = slow
        try:
            plain(self, wanted, interrupted)
        finally:
            self.trainer.velocity = velocity

    monkeypatch.setattr(Comparer, "_draw", watched)

    def ask():
        with Store(run) as store:
            store.want("page", shown(BASE, seeds=range(40)))

    at_iteration(2, ask)
    assert work(run) == 0
    assert status(run)["state"] == "stopped" and answers(run) == ["ok"] and len(began) == 2
    assert time.monotonic() - began[1] < 2


def test_a_fault_in_compare_never_ends_a_training(new_run, at_iteration, monkeypatch, capsys):
    run = new_run(iterations=3)
    monkeypatch.setattr(Comparer, "_draw", lambda *a: 1 / 0)

    def ask():
        with Store(run) as store:
            store.want("page", shown(BASE))

    at_iteration(1, ask)
    assert work(run) == 0 and status(run)["state"] == "finished"
    with Store(run) as store:
        assert "Pictures could not be made (ZeroDivisionError)" in store.problems()[0]
    assert "Compare could not be served" in capsys.readouterr().err


# --- without a training ---------------------------------------------------------------------------------------------
def test_sampler_serves_and_ends_when_nothing_is_wanted(finished):
    run = finished()
    with Store(run) as store:
        store.claim()
        store.want("page", shown(BASE, (4, 100)))
        assert serve(run, store, idle=0.3, studio=os.getpid()) == "Nothing was wanted for a while."
        assert len(store.pictures(0, (4, 100), range(4))) == 4 and store.sampler()["state"] == "ready"


def test_sampler_whose_studio_was_killed_makes_what_is_wanted_and_ends(finished):
    run = finished()
    studio = subprocess.Popen([sys.executable, "-c", ""])
    studio.wait()
    with Store(run) as store:
        store.claim()
        store.want("page", shown(BASE, (4, 100)))
        assert serve(run, store, studio=studio.pid) == "The studio that started it is gone."
        assert len(store.pictures(0, (4, 100), range(4))) == 4


def test_sampler_gives_way_to_a_trainer(finished, monkeypatch):
    run = finished()
    with Store(run) as store, run.database() as db:
        db.set_status(state="running")
        loaded = []
        monkeypatch.setattr(comparing, "open_run", lambda run: loaded.append(1) or loading.open_run(run))
        assert serve(run, store).startswith("A trainer has this run") and not loaded
        db.set_status(state="finished")
        store.want("page", shown((4, 100), seeds=range(200)))
        monkeypatch.setattr(comparing, "LOOK_EVERY", 0.0)
        plain = Store.add

        def begin(self, *args):
            plain(self, *args)
            db.set_status(state="preparing")

        monkeypatch.setattr(Store, "add", begin)
        assert serve(run, store).startswith("A trainer has this run")
        assert 0 < len(store.pictures(0, (4, 100), range(200))) < 200


def test_sampler_that_fails_leaves_last_words(finished, capsys, monkeypatch):
    run = finished()

    def broken(run):
        raise UserError("model: it is gone.", "model")

    monkeypatch.setattr(comparing, "open_run", broken)
    assert comparing.main([str(run.path)]) == 2
    with Store(run) as store:
        told = store.sampler()
        assert (told["state"], told["message"]) == ("failed", "model: it is gone.") and "Traceback" in told["details"]
    assert comparing.main(["/nowhere/at/all"]) == 2 and comparing.main([]) == 2
    assert "there is no run here" in capsys.readouterr().err
