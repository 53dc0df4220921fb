"""The command line. Each command is one file with `add` (its arguments) and `run` (what it does); torch is loaded late."""

from __future__ import annotations

import argparse
import os
import sys

from ..errors import UserError
from . import bench, evaluate, export, fetch, presets, report, sample, train

COMMANDS = {"train": train, "sample": sample, "evaluate": evaluate, "report": report, "export": export, "fetch": fetch, "presets": presets, "bench": bench}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m core", description="Fine-tune an image model by reward, and keep its variety.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        lines = module.__doc__.strip().splitlines()
        own = commands.add_parser(name, help=lines[0], description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add(own)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 a fault of the program, 2 something that a person must change (one line says what)."""
    args = parser().parse_args(arguments)
    try:
        if args.command != "train" and int(os.environ.get("WORLD_SIZE", "1")) > 1:  # each process would do all of it, in the same place
            raise UserError(f"processes: {args.command} is the work of one. Only train shares it; start this without accelerate launch or torchrun.")
        return COMMANDS[args.command].run(args) or 0
    except UserError as error:
        print(f"{error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.strerror is None:
            raise
        print(f"{error.filename or 'files'}: cannot be read or written ({error.strerror}). Choose another place, or free the disk.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
