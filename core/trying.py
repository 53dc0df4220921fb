"""Try the reward: score pictures of your own, best first, before any GPU time is spent. Nothing is written anywhere.

Reads stdin: a line of JSON {"config": settings, "prompt": text}, then pictures as files, each behind its length in four
bytes (big-endian), then a length of 0. Prints one line of JSON. The studio starts it as a process of its own.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from .backbones.names import load_path
from .config import RunConfig, build
from .errors import UserError

MOST = 64  # pictures
LARGEST = 10 * 2**20  # bytes of a picture's file
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_MOST_PIXELS = 60_000_000
_UNKNOWN_SIDE = 512  # of a model that is not on this computer


def read_frames(stream: IO[bytes]):
    """The pictures' files from `stream`. Raises UserError if it breaks off or holds too much."""
    for number in range(MOST + 1):
        head = stream.read(4)
        if len(head) < 4:
            raise UserError("pictures: they broke off before the end. Drop them again.", "pictures")
        length = struct.unpack(">I", head)[0]
        if not length:
            return
        if number == MOST:
            raise UserError(f"pictures: at most {MOST} at a time.", "pictures")
        if length > LARGEST:
            raise UserError(f"pictures: number {number + 1} has {length / 2**20:.0f} MB. Use files of up to {LARGEST // 2**20} MB.", "pictures")
        data = stream.read(length)
        if len(data) < length:
            raise UserError("pictures: they broke off before the end. Drop them again.", "pictures")
        yield data


def picture(data: bytes, side: int) -> np.ndarray:
    """uint8 (side, side, 3): the middle square, turned as its EXIF says, on white. Raises ValueError with the reason in words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data), formats=FORMATS)
            if opened.width * opened.height > _MOST_PIXELS:
                raise ValueError(f"it has {opened.width} by {opened.height} pixels")
            clear = ImageOps.exif_transpose(opened).convert("RGBA")
    except ValueError:
        raise
    except Exception:  # a damaged file fails in as many ways as there are formats
        raise ValueError("it is no picture that can be read") from None
    white = Image.new("RGBA", clear.size, "white")
    white.alpha_composite(clear)
    return np.asarray(ImageOps.fit(white.convert("RGB"), (side, side), Image.Resampling.LANCZOS))


def picture_side(config: RunConfig) -> int:
    """Pixels of the pictures that a run with `config` would score, from the model's own files; 512 if they are not here."""
    if config.resolution:
        return config.resolution
    folder = Path(load_path(config.model))
    for part in ("transformer", "unet", "."):
        try:
            told = json.loads((folder / part / "config.json").read_text(encoding="utf-8"))
            return int(told["sample_size"]) * _decoder_factor(folder)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return _UNKNOWN_SIDE


def _decoder_factor(folder: Path) -> int:
    """Pixels for each latent: a decoder doubles the side between any two of its blocks."""
    for part in ("vae", "vqvae"):
        if (folder / part / "config.json").is_file():
            return 2 ** (len(json.loads((folder / part / "config.json").read_text(encoding="utf-8"))["block_out_channels"]) - 1)
    return 1


def score(config: RunConfig, prompt: str, pictures: list[np.ndarray]) -> list[dict[str, Any]]:
    """Per picture: raw score of each reward, and the weighted sum on the scale of these pictures (0 their mean, 1 one spread).

    None where a reward does not score a picture. Raises UserError.
    """
    import torch

    from .backbones.device import choose_device
    from .loading import hush, load_rewards

    hush()
    device = choose_device(config.device)
    rewards = load_rewards(config, device)
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(255).to(device)
    raw = rewards(images, [prompt] * len(pictures)).raw
    rewards.fit_scale(raw)
    plain = lambda x: float(x) if x.isfinite() else None
    return [{"total": plain(total), "raw": {name: plain(values[i]) for name, values in raw.items()}} for i, total in enumerate(rewards.combine(raw))]


def answer(stream: IO[bytes]) -> dict[str, Any]:
    """{"side", "prompt", "pictures": best first, each with its place `index` in the stream and its scores, or why it has none}."""
    asked = json.loads(stream.readline())
    config, prompt = build(asked["config"]), str(asked["prompt"])
    side = picture_side(config)
    good, bad = {}, []
    for index, data in enumerate(read_frames(stream)):
        try:
            good[index] = picture(data, side)
        except ValueError as reason:
            bad.append({"index": index, "error": f"Not scored: {reason}."})
    scored = [{"index": i, **s} for i, s in zip(good, score(config, prompt, list(good.values())))] if good else []
    scored.sort(key=lambda p: (p["total"] is None, -(p["total"] or 0), p["index"]))
    return {"side": side, "prompt": prompt, "pictures": scored + bad}


def main() -> int:
    out, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not look like the answer
    try:
        told = answer(sys.stdin.buffer)
    except UserError as error:
        told = {"error": str(error), "field": error.field}
    finally:
        sys.stdout = out
    print(json.dumps(told), flush=True)
    return 2 if "error" in told else 0


if __name__ == "__main__":
    sys.exit(main())
