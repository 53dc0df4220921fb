"""Letters on the map, words of the preset cards and pictures of the tiles, by Node's own test runner."""

from pathlib import Path

import pytest
from node import run_node


@pytest.mark.parametrize("name", ["map_letters", "setup_key", "thumbs"])
def test_letters_words_and_tiles(name):
    told = run_node("--test", "--test-reporter=tap", str(Path(__file__).with_name(f"{name}.mjs")))
    assert told.returncode == 0 and "# fail 0" in told.stdout, told.stdout
