"""train, resume, sample, evaluate and export on a tiny run, in this process."""

import json
import shutil

import models
import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file

from core.cli import main
from core.runs import checkpoints, folder
from core.runs.folder import Run


@pytest.fixture(scope="module")
def trained(train_tiny):
    """A run of 4 iterations with checkpoints 2 and 4. Copy it before changing it."""
    return train_tiny()


@pytest.fixture
def own(trained, tmp_path, tiny_clip):
    return Run(shutil.copytree(trained.path, tmp_path / "first"))


def line(capsys, *arguments) -> str:
    """The one line on stderr of a command that must fail."""
    assert main([str(a) for a in arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1
    return shown.err


def test_train_leaves_a_whole_run_folder(trained):
    assert checkpoints.all_of(trained) == [2, 4] and (trained.export / "pytorch_lora_weights.safetensors").exists()
    with trained.database(readonly=True) as db:
        assert [r["iteration"] for r in db.iterations(0)] == [1, 2, 3, 4]
        status = db.status()
        assert (status["state"], status["iteration"], status["saved_at"], status["pid"]) == ("finished", 4, 4, None)
        assert [r["n"] for r in db.rows("SELECT COUNT(*) AS n FROM pictures GROUP BY kind ORDER BY kind")] == [2 * 24, 4 * 8]


def test_train_prints_one_closing_line_and_nothing_else(own, capfd):
    assert main(["train", str(own.path), "--resume", "--no-map", "--set", "iterations=5"]) == 0
    shown = capfd.readouterr()
    assert shown.out == f"Finished 5 iterations.  {own.path}\n" and shown.err == ""


def test_resume_adds_iterations_and_turns_dials_but_changes_nothing_that_is_fixed(own, capsys):
    assert "seed: this is fixed when a run starts. When resuming, these can change: iterations," in line(
        capsys, "train", own.path, "--resume", "--set", "seed=3"
    )
    assert "creative_beta: Diversity bonus is 9." in line(capsys, "train", own.path, "--resume", "--set", "creative_beta=9")
    before = own.config_file.read_bytes()
    assert (
        main(
            [
                "train",
                str(own.path),
                "--resume",
                "--no-map",
                "--set",
                "iterations=6",
                "--set",
                "learning_rate=1e-5",
                "--set",
                "micro_batch=3",
            ]
        )
        == 0
    )
    assert (own.config().iterations, own.config().micro_batch, own.config().learning_rate) == (6, 3, 1e-3)
    assert own.config_file.read_bytes() != before
    with own.database(readonly=True) as db:
        assert [r["iteration"] for r in db.iterations(0)] == [1, 2, 3, 4, 5, 6]
        assert [r["dials"]["learning_rate"] for r in db.iterations(3)] == [1e-3, 1e-5, 1e-5]
        assert [(e["iteration"], e["name"], e["new"]) for e in db.events() if e["kind"] == "dial"] == [(5, "learning_rate", 1e-5)]


def test_resume_of_a_run_that_another_process_has_is_refused_and_leaves_its_settings(own, capsys):
    import os

    import psutil

    with own.database() as db:
        parent = psutil.Process(os.getppid())
        db.set_status(state="running", pid=parent.pid, process_started=parent.create_time())
    assert f"another trainer (process {os.getppid()}) has this run. Stop it first." in line(
        capsys, "train", own.path, "--resume", "--set", "iterations=9"
    )
    assert own.config().iterations == 4


def test_sample_writes_a_grid_of_base_and_tuned(own, capsys, tmp_path):
    out = tmp_path / "deep" / "cats.png"
    arguments = ["sample", str(own.path), "--prompt", "dog", "--count", "4", "--seed", "5", "--out", str(out)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(out)
    first = Image.open(out)
    assert first.text["manymodes:prompt"] == "dog" and first.text["manymodes:seeds"] == "5 6 7 8" and first.text["manymodes:run"] == "first"
    assert main(arguments) == 0
    assert np.array_equal(np.array(first), np.array(Image.open(out)))
    assert main([*arguments, "--strength", "0"]) == 0
    still = np.array(Image.open(out).convert("L")).astype(int)
    half = still.shape[1] // 2
    from core.grids import GAP, HEAD, MARGIN

    block = 2 * (64 + GAP) + GAP
    left, right = (still[HEAD + GAP : HEAD + block - GAP, x + GAP : x + block - GAP] for x in (MARGIN, 2 * MARGIN + block))
    assert half and np.array_equal(left, right)  # at strength 0 the tuned side is the base side


def test_sample_refuses_what_it_cannot_do(own, capsys, tmp_path):
    assert "count: 0 pictures. Use 1 to 256." in line(capsys, "sample", own.path, "--count", 0)
    assert "strength: 2.0. Use 0 to 1.5." in line(capsys, "sample", own.path, "--strength", 2)
    assert "seed: -1. Use 0 to 2147483647." in line(capsys, "sample", own.path, "--seed", -1)
    assert "iteration: 3 is not saved. There are: 2, 4." in line(capsys, "sample", own.path, "--iteration", 3)
    assert "prompts: prompt 1 of 1 is empty." in line(capsys, "sample", own.path, "--prompt", " ")
    assert "is a folder. Name a PNG file." in line(capsys, "sample", own.path, "--out", tmp_path)
    (tmp_path / "file").touch()
    assert "cannot be read or written (Not a directory)" in line(capsys, "sample", own.path, "--out", tmp_path / "file" / "deep" / "x.png")


def test_export_writes_the_named_checkpoint(own, capsys, tmp_path):
    assert main(["export", str(own.path), "--iteration", "2", "--to", str(tmp_path / "two")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "two" / "pytorch_lora_weights.safetensors")
    written = load_file(tmp_path / "two" / "pytorch_lora_weights.safetensors")
    saved = {n.removeprefix("lora/"): v for n, v in checkpoints.load(own, 2)[0].items() if n.startswith("lora/")}
    assert {n.removeprefix("transformer.") for n in written} == {n.replace(".default", "") for n in saved}
    scale = own.config().lora_alpha / own.config().lora_rank  # goes into B, as no other program reads alpha
    assert all(np.array_equal(written["transformer." + n.replace(".default", "")], v * scale if ".lora_B." in n else v) for n, v in saved.items())
    assert main(["export", str(own.path)]) == 0
    capsys.readouterr()
    newest = load_file(own.export / "pytorch_lora_weights.safetensors")
    assert any(not np.array_equal(newest[n], written[n]) for n in newest)
    (tmp_path / "file").touch()
    assert "(File exists)" in line(capsys, "export", own.path, "--to", tmp_path / "file")


def test_evaluate_measures_the_base_and_every_checkpoint_once(own, capsys, monkeypatch):
    from core import evaluation

    assert main(["evaluate", str(own.path)]) == 0
    lines = [x.split() for x in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["first"] and [x[0] for x in lines[3:]] == ["base", "2", "4"]
    kept = json.loads((own.path / "evaluation.json").read_text())
    assert kept["iteration"] == 4 and all(1 < m[space] < evaluation.PICTURES for m in kept["measures"] for space in ("clip", "pixels"))
    monkeypatch.setattr(evaluation, "trajectory", lambda run: pytest.fail("measured again"))
    assert main(["evaluate", str(own.path)]) == 0


def test_full_disk_while_training_is_one_line(own, capsys, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    said = line(capsys, "train", own.path, "--resume", "--no-map", "--set", "iterations=6")
    assert (
        said
        == "The run folder cannot be written (No space left on device), iteration 7. Saved at 4. Free some space or fix the folder, then resume.\n"
    )
    with own.database(readonly=True) as db:
        assert (db.status()["state"], db.status()["remedy"]) == ("failed", "Free some space or fix the folder, then resume.")
    assert folder.state({"state": "failed"}) == "failed" and checkpoints.all_of(own) == [2, 4]


def test_a_run_is_not_made_shorter_than_it_is(own, capsys):
    before = own.config_file.read_bytes()
    assert "iterations: 3, but the run stands at 4. Use more, or branch" in line(capsys, "train", own.path, "--resume", "--set", "iterations=3")
    assert own.config_file.read_bytes() == before


@pytest.mark.parametrize(("file", "content"), [("base.npz", b"PK\3\4 half"), ("base.npz", b""), ("rewards.json", b'{"brightness.me'), ("rewards.json", b"[1]"), ("rewards.json", None)])
def test_what_was_copied_in_part_is_named(own, capsys, file, content):
    place = own.path / file
    place.unlink() if content is None else place.write_bytes(content)
    said = line(capsys, "train", own.path, "--resume", "--no-map", "--set", "iterations=5")
    assert said.startswith(f"{place}: the ") and "Copy the file again" in said


def test_a_start_that_failed_before_any_picture_is_given_again(sd3_folder, tiny_clip, tmp_path, capsys):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(models.settings(sd3_folder)))
    start = ["train", str(tmp_path / "tiny.yaml"), "--run-dir", str(tmp_path / "new"), "--no-map"]
    assert "dynamics" in line(capsys, *start, "--set", "dynamics=ddim")
    assert main(start) == 0
    capsys.readouterr()
    run = Run(tmp_path / "new")
    assert run.config().dynamics != "ddim" and checkpoints.all_of(run)
    assert "a run is here already" in line(capsys, *start)
