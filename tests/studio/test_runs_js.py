"""The numbers behind the figure of fronts, by Node's own test runner."""

import shutil
import subprocess
from pathlib import Path

import pytest


def test_numbers_behind_the_figure():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node on this computer")
    told = subprocess.run([node, "--test", str(Path(__file__).with_name("runs_matched.mjs"))], capture_output=True, text=True)
    assert told.returncode == 0 and "# fail 0" in told.stdout, told.stdout
