"""launch.py on a copy of the project whose only requirement is a tiny package from a folder; no network."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import launch
from core.cli import COMMANDS

ROOT = Path(launch.__file__).parent
APP = """
import sys, time, tiny
print("app", tiny.VERSION, sys.argv[1:], sys.prefix, flush=True)
if "--wait" in sys.argv:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        sys.exit(31)
sys.exit(7)
"""


def make_wheel(folder: Path, version: str) -> None:
    """A wheel `tiny` that also brings a stand-in for pytest."""
    info = f"tiny-{version}.dist-info"
    files = {
        "tiny.py": f"VERSION = {version!r}\n",
        "pytest.py": "import os, sys\nprint('pytest', sys.argv[1:], os.getcwd())\nsys.exit(5)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


class Checkout:
    def __init__(self, path: Path):
        self.path = path
        self.venv = path / ".venv"
        (path / "wheels").mkdir()
        for version in ("1.0", "2.0"):
            make_wheel(path / "wheels", version)
        (path / "launch.py").write_bytes(Path(launch.__file__).read_bytes())
        (path / "app.py").write_text(APP)
        (path / "core").mkdir()
        (path / "core" / "__main__.py").write_text("import os, sys\nprint('core', sys.argv[1:], os.getcwd())\nsys.exit(2)\n")
        self.require("tiny==1.0")

    def require(self, *lines: str) -> None:
        text = "\n".join(["--no-index", f"--find-links {(self.path / 'wheels').as_posix()}", *lines])
        (self.path / "requirements.txt").write_text(text + "\n")

    @property
    def environment(self) -> dict:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON", "VIRTUAL_ENV"))}
        return kept | {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "1"}

    def launch(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
        command = [sys.executable, str(self.path / "launch.py"), *arguments]
        return subprocess.run(command, cwd=cwd or self.path, env=self.environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    made.first = made.launch("--port", "7000")
    return made


def test_first_start_installs_then_becomes_the_app(checkout):
    first = checkout.first
    assert first.returncode == 7, first.stderr
    assert f"app 1.0 ['--port', '7000'] {checkout.venv}" in first.stdout
    assert "Making a Python environment in .venv" in first.stdout
    assert first.stdout.index("Installing") < first.stdout.index("Ready.") < first.stdout.index("app 1.0")
    assert first.stderr == ""


def test_second_start_installs_nothing(checkout):
    second = checkout.launch()
    assert second.stdout == f"app 1.0 [] {checkout.venv}\n"
    assert second.returncode == 7


def test_half_finished_install_is_continued_in_the_same_environment(checkout):
    marker = checkout.venv / "marker"
    marker.touch()
    (checkout.venv / "installed.txt").unlink()
    again = checkout.launch()
    assert "Installing" in again.stdout and "Making" not in again.stdout
    assert marker.exists() and again.returncode == 7


def test_changed_requirements_are_installed(checkout):
    checkout.require("tiny==2.0")
    changed = checkout.launch()
    assert "Installing" in changed.stdout and "app 2.0 []" in changed.stdout
    assert "Installing" not in checkout.launch().stdout


def test_words_choose_what_runs(checkout, tmp_path):
    tests = checkout.launch("test", "-k", "x y", cwd=tmp_path)
    assert (tests.returncode, tests.stdout) == (5, f"pytest ['-k', 'x y'] {checkout.path}\n")
    assert "'--dist', 'loadfile'" in checkout.launch("test", cwd=tmp_path).stdout  # the whole suite, on two workers
    assert {*launch.ENGINE} == {*COMMANDS}
    engine = checkout.launch("train", "demo", "--set", "seed=1", cwd=tmp_path)
    assert (engine.returncode, engine.stdout) == (2, f"core ['train', 'demo', '--set', 'seed=1'] {tmp_path}\n")


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_reaches_the_app_and_its_exit_code_comes_back(checkout):
    command = [sys.executable, str(checkout.path / "launch.py"), "--wait"]
    heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731  # a background job is born deaf to it
    with subprocess.Popen(command, env=checkout.environment, stdout=subprocess.PIPE, text=True, preexec_fn=heed) as process:
        assert process.stdout.readline().startswith("app")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 31


@pytest.mark.parametrize(
    "lines, words",
    [
        (["--index-url http://127.0.0.1:9/simple", "other==1"], "The package index cannot be reached. Check the network"),
        (["--no-index", "other==1"], "A package cannot be installed: No matching distribution found for other==1. The whole story is in"),
    ],
)
def test_what_cannot_be_installed_is_one_line_and_is_tried_again(checkout, lines, words):
    kept = (checkout.path / "requirements.txt").read_text()
    try:
        (checkout.path / "requirements.txt").write_text("\n".join(lines) + "\n")
        for _ in range(2):
            failed = checkout.launch()
            assert failed.returncode == 1
            assert failed.stderr.startswith(words) and failed.stderr.count("\n") == 1
            assert "app" not in failed.stdout
    finally:
        (checkout.path / "requirements.txt").write_text(kept)
    assert checkout.launch().returncode == 7


def test_environment_without_a_running_python_is_made_anew(checkout):
    python = checkout.venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    python.unlink()
    repaired = checkout.launch()
    assert "Making a Python environment" in repaired.stdout and repaired.returncode == 7, repaired.stderr


def test_full_disk_is_told_before_the_download(tmp_path, monkeypatch, capsys):
    (tmp_path / "requirements.txt").write_text("torch==2.15.0\n")
    for name, path in {"ROOT": "", "VENV": ".venv", "REQUIREMENTS": "requirements.txt", "STAMP": ".venv/installed.txt"}.items():
        monkeypatch.setattr(launch, name, tmp_path / path)
    monkeypatch.setattr(launch.shutil, "disk_usage", lambda path: SimpleNamespace(free=3e9))
    assert launch.main([]) == 1
    assert re.fullmatch(r"The set-up needs \d+ GB of free disk, .* has 3\.0 GB\. Free some space and start again\.\n", capsys.readouterr().err)
    assert not (tmp_path / ".venv").exists()

    (tmp_path / "requirements.txt").write_text("torchmetrics==1\n")  # no torch of its own
    launch.check_disk()


def test_old_python_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(launch.sys, "version_info", (3, 9, 2))
    assert launch.main(["test"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Python 3.9 is too old, Manymodes Studio needs 3.11") and said.count("\n") == 1
    ast.parse(Path(launch.__file__).read_text(), feature_version=(3, 6))


def test_help_installs_nothing(monkeypatch, capsys):
    monkeypatch.setattr(launch, "install", lambda: pytest.fail("installed"))
    monkeypatch.setattr(launch, "installed", lambda: False)
    assert launch.main(["--help"]) == 0
    assert "python launch.py test" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line, words",
    [
        ("Collecting torch==2.15.0 (from -r requirements.txt (line 2))", "looking up torch"),
        ("  Downloading https://x/torch-2.15.0-cp311-cp311-linux_x86_64.whl (888.1 MB)", "fetching torch (888.1 MB)"),
        ("  Downloading tqdm-4.70.1-py3-none-any.whl (78 kB)", ""),
        ("WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'", "the package index does not answer, trying again"),
        ("Installing collected packages: " + ", ".join("abcdefghijklmnopqrstuvwxyz"), "unpacking, this takes a few minutes"),
        ("Requirement already satisfied: numpy", ""),
    ],
)
def test_pip_lines_become_calm_words(line, words):
    assert launch.Progress().words(line.strip()) == words


def test_every_requirement_is_pinned_and_every_import_is_required():
    lines = [x.split("#")[0].strip() for x in (ROOT / "requirements.txt").read_text().splitlines()]
    pins = [re.fullmatch(r"([A-Za-z0-9_.-]+)==[0-9][0-9.]*", x) for x in lines if x]
    assert all(pins)
    required = {pin[1].lower().replace("-", "_") for pin in pins}
    names = {"pil": "pillow", "yaml": "pyyaml", "sklearn": "scikit_learn", "umap": "umap_learn"}
    ours = {"core", "studio", "assets", "tests", "app", "launch", "conftest"} | {p.stem for p in (ROOT / "tests").rglob("*.py")}
    imported = set()
    for folder in ("core", "studio", "assets", "tests"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    imported.add(node.module.split(".")[0])
    foreign = {names.get(x.lower(), x.lower()) for x in imported - set(sys.stdlib_module_names) - ours - {"__future__", "tiny"}}
    # pydantic pins its own core, gradio its own starlette
    assert foreign - required <= {"pydantic_core", "starlette"}
