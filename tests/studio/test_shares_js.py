"""The shares of all prompts together, by Node's own test runner."""

from pathlib import Path

from node import run_node


def test_shares_of_all_prompts():
    told = run_node("--test", "--test-reporter=tap", str(Path(__file__).with_name("shares_ranks.mjs")))
    assert told.returncode == 0 and "# fail 0" in told.stdout, told.stdout
