"""Bad input on the command line: one line on stderr, exit code 2, before torch is loaded."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from core.cli import main
from core.config import FIELDS, ROOT, RunConfig
from core.presets import PRESET_GROUPS
from core.runs import folder

SHAM = ["--set", "model=sham"]  # passes for a model until it is loaded
TRAIN = ["train", "collapse-demo", "--run-dir", "new/demo", *SHAM]

CASES = {
    "unknown key": ([*TRAIN, "--set", "creative_bta=1"], "creative_bta: there is no such setting. Did you mean creative_beta?"),
    "wrong type": ([*TRAIN, "--set", "group_size=many"], "group_size: Pictures per prompt is 'many'. Use 4 to 64."),
    "out of range": ([*TRAIN, "--set", "noise_level=0"], "noise_level: Noise level is 0. Use above 0 to 1.2."),
    "no value": ([*TRAIN, "--set", "seed"], "--set 'seed': write it as key=value, for example --set creative_beta=0.5."),
    "no YAML": ([*TRAIN, "--set", "prompts=[a"], "prompts: '[a' cannot be read. Quote text that holds : or [ or {."),
    "missing model": ([*TRAIN, "--set", "model=./none"], "model: there is no folder './none' on this computer."),
    "a folder that is no model": ([*TRAIN, "--set", "model=."], "model: . holds a model in the folder sham. Name that: sham."),
    "empty prompts": ([*TRAIN, "--set", "prompts=[]"], "prompts: Prompts is empty. Use 1 to 5,000 lines of text"),
    "empty prompt": ([*TRAIN, "--set", "prompts=['']"], "prompts: prompt 1 of 1 is empty. Write a text or remove it."),
    "unknown reward": ([*TRAIN, "--set", "rewards={brightnes: 1}"], "rewards: 'brightnes' is no reward. Did you mean brightness?"),
    "missing reward file": ([*TRAIN, "--set", "rewards={own: 1}", "--set", "reward_file=none.py"], "reward_file: none.py is not a file."),
    "likeness that would open a pickle": ([*TRAIN, "--set", "perceptual=dreamsim"], "perceptual: DreamSim is not available: its weights come as pickle only"),
    "missing CLIP": ([*TRAIN, "--set", "clip_model=./none"], "clip_model: './none' is neither emoji-clip nor a folder here nor a hub name."),
    "a folder that is no CLIP": ([*TRAIN, "--set", "clip_model=sham"], "clip_model: sham holds no config.json"),
    "unknown preset": (["train", "colapse-demo"], "preset 'colapse-demo' does not exist. Did you mean collapse-demo?"),
    "missing file": (["train", "none.yaml"], "none.yaml: the settings cannot be read (No such file or directory)."),
    "file in the way": (["train", "collapse-demo", "--run-dir", "file/demo", *SHAM], "the run folder cannot be written (Not a directory)."),
    "file instead": (["train", "collapse-demo", "--run-dir", "file", *SHAM], "file: the run folder cannot be written (File exists)."),
    "bad name": (["train", "collapse-demo", "--run-dir", "new/a b", *SHAM], "name: 'a b' cannot name a run."),
    "taken folder": (
        ["train", "collapse-demo", "--run-dir", "taken", *SHAM],
        "taken: a run is here already. Choose another name, or continue it with --resume.",
    ),
    "run again": (["train", "taken"], "taken: a run is here already. Continue it with --resume"),
    "sample of nothing": (["sample", "none"], "none: there is no run here. Name a folder that holds config.yaml."),
    "sample too early": (["sample", "taken"], "taken: nothing is saved yet. Train it first."),
    "evaluate nothing": (["evaluate", "none"], "none: there is no run here."),
    "evaluate too early": (["evaluate", "taken"], "taken: nothing is saved yet. Train it first."),
    "evaluate what": (["evaluate"], "evaluate: name a run folder, or use --claim."),
    "export too early": (["export", "taken"], "taken: nothing is saved yet. Train it first."),
    "report nothing": (["report", "none"], "none: there is no folder here. Name a run, or a folder of pictures."),
    "report too early": (["report", "taken"], "taken: nothing is saved yet. Train it first."),
    "report no pictures": (["report", "sham"], "sham: there is no run and no picture here."),
    "report a run with more": (["report", "taken", "sham"], "report: taken is a run. Name it alone"),
    "report three": (["report", "a", "b", "c"], "report: 3 folders. Name a run, or one or two folders of pictures."),
    "report one picture": (["report", "sham", "--count", "1"], "count: 1 pictures. Use 2 to 10000."),
    "report a folder twice": (["report", "sham", "./sham"], "report: the same folder is named twice."),
    "report by no CLIP": (["report", "sham", "--clip", "sham"], "clip_model: sham holds no config.json"),
    "train on no process": ([*TRAIN, "--processes", "0"], "processes: 0. Use 1 or more."),
    "more pictures a group than base pictures": (
        [*TRAIN, "--set", "base_pictures=24", "--set", "group_size=48"],
        "base_pictures: 24 are fewer than one group of 48, which they are compared with. Use at least 48.",
    ),
    "a run into another folder": (["train", "taken", "--resume", "--run-dir", "other"], "run_dir: taken is a run already, which goes on in its own folder."),
    "evaluate with settings": (["evaluate", "taken", "--set", "seed=3"], "--set seed=3: a run is measured with its own settings."),
    "claim of no seeds": (["evaluate", "--claim", "--seeds", "0"], "seeds: 0. Use at least 1."),
    "claim with a seed": (["evaluate", "--claim", "--set", "seed=3"], "seed: evaluate --claim chooses this itself. Leave it out of --set."),
    "claim with checkpoints": (["evaluate", "--claim", "--set", "checkpoint_every=1"], "checkpoint_every: evaluate --claim chooses this itself."),
    "pareto of no seeds": (["bench", "pareto", "--seeds", "0"], "seeds: 0. Use at least 1."),
    "pareto with rewards": (["bench", "pareto", "--set", "rewards={brightness: 1}"], "rewards: bench pareto chooses this itself."),
    "presets with settings": (["bench", "presets", "--set", "seed=1"], "--set seed=1: bench presets measures them as they are."),
    "bench with a wrong setting": (["bench", "--set", "bogus=7"], "bogus: there is no such setting."),
    "bench of nothing": (["bench", "--iterations", "0"], "iterations: 0. Use at least 1."),
    "bench of no preset": (["bench", "--preset", "x"], "preset 'x' does not exist. There are: collapse-demo"),
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "sham").mkdir()
    (tmp_path / "sham" / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusion3Pipeline"}))
    folder.create(tmp_path / "taken", RunConfig(model=str(tmp_path)))
    return tmp_path


def said(capsys, arguments) -> str:
    """The one line on stderr of a command that must end with 2."""
    code = main(arguments)
    shown = capsys.readouterr()
    assert code == 2 and shown.out == "" and shown.err.endswith("\n") and shown.err.count("\n") == 1
    return shown.err


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_nothing_made(place, capsys, case):
    arguments, expected = CASES[case]
    assert expected in said(capsys, arguments)
    assert sorted(p.name for p in place.iterdir()) == ["file", "sham", "taken"]  # no half-made run


def test_all_of_it_is_told_without_torch(place):
    """In one fresh process, since this one has torch already."""
    code = f"""
import sys
from core.cli import main
for arguments in {[a for a, _ in CASES.values()]!r}:
    assert main(arguments) == 2, arguments
heavy = sorted({{'torch', 'diffusers', 'transformers', 'gradio'}} & set(sys.modules))
assert not heavy, heavy
"""
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert len(found.stderr.splitlines()) == len(CASES) and "Traceback" not in found.stderr


def test_python_m_core_ends_with_the_code_and_the_line():
    found = subprocess.run(
        [sys.executable, "-m", "core", "train", "collapse-demo", "--set", "seed=-1"], cwd=ROOT, capture_output=True, text=True
    )
    assert (found.returncode, found.stdout, found.stderr) == (2, "", "seed: Seed is -1. Use 0 to 2147483647.\n")


def test_disk_nearly_full(place, capsys, monkeypatch):
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda path: SimpleNamespace(free=150 * 2**20))
    assert "disk: only 150 MB free in " in said(capsys, TRAIN)
    assert not (place / "new").exists()


def test_folder_without_permission(place, capsys, monkeypatch):
    def denied(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(place), "mkdir", denied)
    assert "the run folder cannot be written (Permission denied)" in said(capsys, TRAIN)


def test_help_lists_every_setting_with_its_words(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    for name, field in FIELDS.items():
        assert f"\n  {name} = " in shown and field.description in shown


def test_presets_are_listed_in_groups_with_their_sentence(capsys):
    assert main(["presets"]) == 0
    groups = [block.splitlines() for block in capsys.readouterr().out.split("\n\n")]
    named = [[line.split()[0] for line in lines] for _, *lines in groups]
    assert named[0][0] == "collapse-demo" and {"flow-grpo", "diverse-grpo", "drift-style", "hrf", "hrf-d", "ddpo"} <= set(named[0])
    assert "mix-grpo" in named[1] and "sd15-ddpo" in named[2] and len(groups) == len(PRESET_GROUPS)
    lines = [line for _, *members in groups for line in members]
    assert all(len(line.split()) > 4 for line in lines)


def test_no_command_is_no_traceback(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2 and "COMMAND" in capsys.readouterr().err


def test_only_a_training_is_shared_among_processes(capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["presets"]) == 2
    assert "processes: presets is the work of one" in capsys.readouterr().err
