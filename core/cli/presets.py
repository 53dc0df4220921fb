"""List the presets, a line each, in groups."""

from __future__ import annotations

import argparse

from ..presets import PRESET_GROUPS, preset_names, preset_words


def add(parser: argparse.ArgumentParser) -> None:
    del parser


def run(args: argparse.Namespace) -> int:
    for number, (group, title) in enumerate(PRESET_GROUPS.items()):
        print(("\n" if number else "") + title)
        for name in preset_names(group):
            print(f"  {name:20} {preset_words(name)[1]}")
    return 0
