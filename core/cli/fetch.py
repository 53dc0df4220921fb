"""Fetch a model from the Hugging Face hub: what is needed of it, after its size and licence were shown.

    python -m core fetch stabilityai/stable-diffusion-3.5-medium
    python -m core fetch openai/clip-vit-large-patch14 --clip
    python -m core fetch google/ddpm-celebahq-256 --ask

Broken off with Ctrl+C it keeps what came, and goes on from there when it is started again.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="OWNER/NAME", help="the model's name on the hub")
    parser.add_argument("--clip", action="store_true", help="it is a CLIP, for the setting clip_model")
    parser.add_argument("--ask", action="store_true", help="say size and licence, and fetch nothing")


def run(args: argparse.Namespace) -> int:
    from .. import fetching
    from ..backbones import hub

    fetching.quiet()
    field = "clip_model" if args.clip else "model"
    words = fetching.size_words
    offer = fetching.ask(field, args.name)
    print(f"{offer.name}: {len(offer.files)} files, {words(offer.size)}, {words(offer.here())} of it here. Licence: {offer.licence or 'none named'}, {offer.link}")
    print(f"Goes to {hub.cache()}, which has {words(offer.free)} left.", flush=True)
    if args.ask:
        if offer.refused:
            print(offer.refused)
        return 0
    bar = sys.stderr.isatty()

    def tell(line: dict[str, Any]) -> None:
        if bar:
            print(f"\r{line['doing'] or 'Fetching'}: {words(line['bytes'])} of {words(line['total'])}   ", end="", file=sys.stderr, flush=True)

    try:
        fetching.get(field, args.name, tell)
    finally:
        if bar:
            print(file=sys.stderr)
    print(f"{offer.name} is here. Use it with --set {field}={offer.name}")
    return 0
