"""Letters on the map and words of the preset cards, by Node's own test runner."""

from pathlib import Path

import pytest
from node import run_node


@pytest.mark.parametrize("name", ["map_letters", "setup_key"])
def test_letters_and_words(name):
    told = run_node("--test", "--test-reporter=tap", str(Path(__file__).with_name(f"{name}.mjs")))
    assert told.returncode == 0 and "# fail 0" in told.stdout, told.stdout
