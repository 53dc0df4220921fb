"""python -m core: train, sample, evaluate, export, presets, bench."""

import os
import sys

# Before torch is loaded. Its threads wait for each other by spinning, which stalls everything where another program takes a
# core (an iteration of the demo: 203 s with one of two cores busy), and sleeping at once costs half the speed. A short spin
# has neither fault: 3.4 s on two idle cores, 4.0 s with one of them busy.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from .cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
