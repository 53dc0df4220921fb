"""List the presets, a line each."""

from __future__ import annotations

import argparse

from ..config import preset_names, preset_words


def add(parser: argparse.ArgumentParser) -> None:
    del parser


def run(args: argparse.Namespace) -> int:
    for name in preset_names():
        print(f"{name:16} {preset_words(name)[1]}")
    return 0
