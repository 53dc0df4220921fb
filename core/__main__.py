"""python -m core: train, sample, evaluate, export, presets, bench."""

import os
import sys

# Before torch is loaded. Where another program takes a core, threads that wait by spinning hold each other up: on two
# cores, one of them busy, an iteration of the demo took 203 s with them and 7 s without.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from .cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
