"""The numbers behind the figure of fronts, what is looked for in the list, and when a run was started, by Node's own test runner."""

from pathlib import Path

import pytest
from node import run_node


@pytest.mark.parametrize("file", ["runs_matched.mjs", "runs_arranged.mjs", "runs_when.mjs"])
def test_numbers_behind_the_figure_and_the_list(file):
    told = run_node("--test", "--test-reporter=tap", str(Path(__file__).with_name(file)))
    assert told.returncode == 0 and "# fail 0" in told.stdout, told.stdout
