"""python -m core report: pictures drawn once, measured from the files, numbers that name space and n."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from core import picture_files
from core.cli import main
from core.diversity.distance import mean_pairwise
from core.diversity.inception import inception_score
from core.diversity.report import AVERAGED, POOLED
from core.loading import STYLE_FOLDER, open_run
from core.picture_report import PIXELS, pixel_features
from core.pictures import to_uint8
from core.rewards.colour import brightness
from core.rewards.style import StyleProbe
from core.runs.folder import Run
from core.training import SAMPLE

N = 6


@pytest.fixture(scope="module")
def trained(train_tiny):
    """A tiny run with checkpoints 1 and 2. Copy it before changing it."""
    return train_tiny(iterations=2, checkpoint_every=1, learning_rate=1e-2)


@pytest.fixture
def own(trained, tmp_path, tiny_clip):
    return Run(shutil.copytree(trained.path, tmp_path / "first"))


def report(run, *arguments) -> None:
    assert main(["report", str(run.path), *map(str, arguments), "--count", str(N)]) == 0


def rows(run, iteration=2):
    return json.loads((run.export / "report" / f"report-{iteration:06d}.json").read_text())["rows"]


def value(rows, name, metric, space, scope):
    (row,) = [r for r in rows if (r["set"], r["metric"], r["space"], r["scope"]) == (name, metric, space, scope)]
    assert row["n"] == {AVERAGED: N, POOLED: 2 * N}[scope]
    return row["value"]


def files(run) -> dict:
    place = run.export / "report"
    return {str(p.relative_to(place)): (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(place.rglob("*.png"))}


def read(folder) -> torch.Tensor:
    images = [np.array(Image.open(p).convert("RGB")) for p in sorted(folder.glob("*.png"))]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255


def test_pictures_are_those_of_the_model_and_numbers_those_of_the_files(own, capsys):
    report(own, "--classifier", "style")
    place = own.export / "report"
    assert sorted(p.name for p in place.iterdir() if p.is_dir()) == ["base", "base-other-seeds", "tuned-000002"]
    trainer = open_run(own, 2)
    for base, name in ((True, "base"), (False, "tuned-000002")):
        for prompt, text in enumerate(("cat", "dog")):
            folder = place / name / f"{prompt:04d}-{text}"
            seeds = trainer.seeds(SAMPLE, 0, prompt, N)
            assert [p.stem for p in sorted(folder.iterdir())] == [f"{g:04d}-{seed}" for g, seed in enumerate(seeds)]
            expected = to_uint8(trainer.pictures(prompt, seeds, purpose=SAMPLE, base=base))
            difference = np.abs(to_uint8(read(folder)).astype(int) - expected)
            assert difference.max() <= 1  # drawn in other batches
            assert Image.open(sorted(folder.iterdir())[0]).text["manymodes:prompt"] == text
    assert {p.stem for p in (place / "base").rglob("*.png")}.isdisjoint(p.stem for p in (place / "base-other-seeds").rglob("*.png"))

    tuned = [read(place / "tuned-000002" / name) for name in ("0000-cat", "0001-dog")]
    found, space = rows(own), f"CLIP {trainer.perceptual.name.removeprefix('CLIP ')}"
    cosine = lambda x: 1 - torch.corrcoef(trainer.perceptual.embed(x).double())
    expected = np.mean([mean_pairwise(cosine(x)[None]).item() for x in tuned])
    assert value(found, "tuned, 2", "mean pairwise distance (1 - cosine)", space, AVERAGED) == pytest.approx(expected, rel=1e-3)
    unit = torch.nn.functional.normalize(pixel_features(torch.cat(tuned)).double(), dim=1)
    expected = mean_pairwise((1 - unit @ unit.T)[None]).item()
    assert value(found, "tuned, 2", "mean pairwise distance (1 - cosine)", PIXELS, POOLED) == pytest.approx(expected, rel=1e-6)
    expected = brightness(torch.cat(tuned), [""] * 2 * N).mean().item()
    assert value(found, "tuned, 2", "mean reward, raw", "brightness", AVERAGED) == pytest.approx(expected, rel=1e-5)
    scale = json.loads((own.path / "rewards.json").read_text())
    raw = value(found, "tuned, 2", "mean reward, raw", "brightness", AVERAGED)
    scaled = value(found, "tuned, 2", "mean reward (0 = base mean, 1 = one base spread, as trained)", "1 brightness", AVERAGED)
    assert scaled == pytest.approx((raw - scale["brightness.mean"]) / scale["brightness.std"], rel=1e-4)
    probe = StyleProbe.load(STYLE_FOLDER, "cpu")
    expected = inception_score(probe(torch.cat(tuned)).softmax(1), splits=10).mean
    assert value(found, "tuned, 2", "Inception Score, mean of 10 splits", "style probe, 6 classes", POOLED) == pytest.approx(expected, rel=1e-5)
    assert {r["against"] for r in found} == {None, "base, other seeds"}

    shown = capsys.readouterr().out
    assert f"{space} · per prompt, then averaged · n = {N}\n" in shown and f"{PIXELS} · pooled over prompts · n = {2 * N} · against base, other seeds" in shown
    assert shown.rstrip().endswith("report-000002.json")


def test_nothing_is_drawn_twice_and_only_what_is_missing(own, monkeypatch):
    report(own)
    before, said = files(own), rows(own)
    with monkeypatch.context() as patch:
        patch.setattr(picture_files.DrawnSet, "draw", lambda *a: pytest.fail("drawn again"))
        report(own)
    assert files(own) == before and rows(own) == said
    lost = [name for name in before if name.startswith("tuned")][3]
    (own.export / "report" / lost).unlink()
    report(own)
    after = files(own)
    assert after.keys() == before.keys() and [n for n in after if after[n][0] != before[n][0]] == [lost]
    report(own, "--iteration", 1)
    later = files(own)
    new = later.keys() - before.keys()
    assert len(new) == 2 * N and all(n.startswith("tuned-000001/") for n in new)
    assert all(later[n] == after[n] for n in after)
    assert [r["value"] for r in rows(own, 1) if r["set"] == "base"] == [r["value"] for r in rows(own) if r["set"] == "base"]
    assert [r["value"] for r in rows(own, 1) if r["set"].startswith("tuned")] != [r["value"] for r in rows(own) if r["set"].startswith("tuned")]


def test_pictures_of_other_weights_are_made_anew(own):
    report(own)
    before = files(own)
    facts = own.export / "report" / "tuned-000002" / picture_files.FACTS
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "weights": "of another training"}))
    (facts.parent / "0000-cat" / "9999-1.png").write_bytes(next(iter(before.values()))[1])
    report(own)
    after = files(own)
    assert after.keys() == before.keys()
    assert all((after[n][0] != before[n][0]) == n.startswith("tuned") and after[n][1] == before[n][1] for n in before)


# --- folders of pictures ----------------------------------------------------------------------------------------------
def save(folder, count, *, seed, spread=0.3, side=16):
    folder.mkdir(parents=True)
    images = np.clip(0.5 + spread * np.random.default_rng(seed).standard_normal((count, 4, 4, 3)), 0, 1)
    for n, image in enumerate(images):
        Image.fromarray((255 * image).round().astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{n:02d}.png")
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, tiny_clip):
    monkeypatch.chdir(tmp_path)
    for prompt in range(2):
        save(tmp_path / "plain" / f"{prompt}", 9, seed=prompt)
        save(tmp_path / "narrow" / f"{prompt}", 7 + prompt, seed=10 + prompt, spread=0.05)
    return tmp_path


def test_two_folders_are_measured_on_equally_many(place, capsys):
    assert main(["report", "plain", "narrow"]) == 0
    shown = capsys.readouterr().out
    assert "plain and narrow: 7 pictures of each of 2 prompts, the first by name; 5 are left out" in shown
    found = json.loads((place / "narrow" / "report.json").read_text())["rows"]
    assert {r["n"] for r in found} == {7, 14} and {r["against"] for r in found} == {None, "plain"}
    pick = lambda name, metric: [r["value"] for r in found if r["set"] == name and r["metric"].startswith(metric) and r["space"] == PIXELS]
    assert max(pick("narrow", "mean pairwise")) < min(pick("plain", "mean pairwise"))
    only = [read(place / "plain" / str(p))[:7] for p in range(2)]
    unit = [torch.nn.functional.normalize(pixel_features(x).double(), dim=1) for x in only]
    expected = np.mean([mean_pairwise((1 - u @ u.T)[None]).item() for u in unit])
    assert pick("plain", "mean pairwise")[1] == pytest.approx(expected, rel=1e-6)


def test_a_third_folder_is_what_drift_is_measured_from(place):
    for prompt in range(2):
        save(place / "again" / f"{prompt}", 9, seed=20 + prompt)
    assert main(["report", "plain", "narrow", "--reference", "again", "--out", "deep/all.json", "--count", "6"]) == 0
    found = json.loads((place / "deep" / "all.json").read_text())["rows"]
    recall = {r["set"]: r["value"] for r in found if r["metric"].startswith("recall") and r["space"] == PIXELS}
    assert recall.keys() == {"plain", "narrow"} and recall["narrow"] == 0 < recall["plain"]


def test_one_folder_without_sub_folders_has_no_drift(place):
    assert main(["report", "plain/0", "--classifier", "style"]) == 0
    found = json.loads((place / "plain" / "0" / "report.json").read_text())["rows"]
    assert {r["n"] for r in found} == {9} and {r["against"] for r in found} == {None}
    assert {"Vendi score, cosine kernel, q = 1", "SSIM diversity (1 - mean SSIM)", "Inception Score, mean of 9 splits"} < {r["metric"] for r in found}


def refuse(capsys, *arguments) -> str:
    assert main(["report", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1
    return shown.err


def test_pictures_that_cannot_be_compared_are_named(place, capsys):
    save(place / "large" / "0", 9, seed=1, side=32)
    save(place / "large" / "1", 9, seed=1, side=32)
    assert "large: the pictures are 32 x 32, those of plain 16 x 16." in refuse(capsys, "plain", "large")
    assert "narrow/0: there are 7 pictures, 40 are needed of each prompt." in refuse(capsys, "plain", "narrow", "--count", "40")
    assert "there is no folder of the prompt '1'" in refuse(capsys, "plain", save(place / "half" / "0", 9, seed=1).parent.name)
    (place / "plain" / "0" / "03.png").write_text("no picture")
    assert "03.png: this is no picture that can be read" in refuse(capsys, "plain", "narrow")
    Image.new("RGB", (20, 16)).save(place / "plain" / "0" / "03.png")
    assert "03.png: the picture is 20 x 16, but 00.png is 16 x 16. Give all the same size." in refuse(capsys, "plain", "narrow")
    shutil.copy(place / "narrow" / "0" / "00.png", place / "narrow")
    assert "narrow: there are pictures both here and in 0." in refuse(capsys, "narrow")
    save(place / "few", 4, seed=3)
    save(place / "others", 4, seed=4)
    assert "report: real must be features (N, F) of N >= 6" in refuse(capsys, "few", "others")
