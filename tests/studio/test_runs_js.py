"""The numbers behind the figure of fronts, by Node's own test runner."""

from pathlib import Path

from node import run_node


def test_numbers_behind_the_figure():
    told = run_node("--test", "--test-reporter=tap", str(Path(__file__).with_name("runs_matched.mjs")))
    assert told.returncode == 0 and "# fail 0" in told.stdout, told.stdout
