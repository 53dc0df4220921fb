"""python -m core: train, sample, evaluate, report, export, fetch, presets, bench."""

import os
import sys

# Before torch is loaded. Its threads wait for each other by spinning, which stalls everything where another program takes a
# core, and sleeping at once costs a third of the speed. A short spin has neither fault: compare with `bench iteration`.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from .cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
