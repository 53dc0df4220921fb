"""The choice of arithmetic."""

from __future__ import annotations

import time

from core.backbones.device import fastest


def test_one_slow_turn_and_a_slow_first_one_do_not_decide():
    turns = {"float32": 0, "bfloat16": 0}

    def run(kind: str) -> None:
        turns[kind] += 1
        slow = kind == "bfloat16" and turns[kind] in (1, 3)  # compiled at first; held up by another program later
        time.sleep(0.1 if slow else 0.02 if kind == "float32" else 0.005)

    assert fastest(run) == "bfloat16" and turns == {"float32": 6, "bfloat16": 6}
    assert fastest(lambda kind: time.sleep(0.02 if kind == "bfloat16" else 0.005)) == "float32"
