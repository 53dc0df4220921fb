"""python -m core: train, sample, evaluate, export, presets, bench."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
