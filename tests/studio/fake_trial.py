"""A trial's manners without a model: reads settings, says what it does, ends as the settings' seed asks.

seed 0: a result; 1: no memory with more than 6 pictures in flight; 2: a wrong setting; 3: killed; 4: goes on until it is ended;
5: memory for one picture in flight, and only with checkpointing.
"""

import json
import os
import sys
import time

config = json.load(sys.stdin)
say = lambda line: print(json.dumps(line), flush=True)
say({"doing": "Loading the model"})
time.sleep(float(os.environ.get("FAKE_TRIAL_SECONDS", "0")))
if config["seed"] == 4:
    say({"doing": "Trial iteration 1 of 3"})
    time.sleep(60)
if config["seed"] == 3:
    os.kill(os.getpid(), 9)
if config["seed"] == 2:
    say({"error": "model: this one is broken.", "field": "model", "memory": False})
elif (config["seed"] == 1 and config["micro_batch"] > 6) or (config["seed"] == 5 and not config["gradient_checkpointing"]):
    say({"error": "Ran out of memory, iteration 1.", "field": None, "memory": True})
else:
    parts = {"model": 2_000_000_000, "pictures": 3_000_000_000, "gradients": 1_000_000_000, "looks": 500_000_000}
    say(
        {
            "measured": {
                "iterations": 3,
                "pace": 8.6,
                "seconds": {"make": 3.3, "score": 0.5, "looks": 0.7, "learn": 4.1},
                "base_picture": 0.1,
                "memory": sum(parts.values()),
                "memory_parts": parts,
                "memory_total": 8_000_000_000,
                "kept": 0.25,
                "device": "cpu, float32",
                "disk": {"checkpoint": 10_000_000, "export": 3_000_000, "picture": 2_000, "iteration": 1_000},
            }
        }
    )
