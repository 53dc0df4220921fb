"""Stage 3: the style probe, which tells the five drawing styles apart and knows a broken picture when it sees one.

    python -m assets.recipe.style PARQUET --scratch DIR

Seen in training: the pictures as they are, what the autoencoder makes of them, and what it makes of slightly disturbed
latents, which is how a young generator draws. Broken on purpose, for the last class: ghosts of two pictures, strongly
disturbed latents, shuffled pieces, stripes and plain colour washes.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from core.rewards.style import StyleProbe

from . import data
from .training import SAVE_EVERY, Averaged, Log, Muon, State, arguments, batch_indices, generator, learn, rate

SEED = 31
BROKEN_SHARE = 0.2
DISTURBANCES = (0.0, 0.2, 1.0)  # in spreads of the latents; the last one breaks a picture


@torch.no_grad()
def through(vae, pictures: torch.Tensor, disturbances: tuple[float, ...], draw: torch.Generator) -> list[torch.Tensor]:
    """Pictures as the autoencoder gives them back, once for each strength of noise on their latents (in latent spreads)."""
    parts = []
    for b in pictures.split(64):
        with torch.autocast("cpu", torch.bfloat16):
            z = vae.encode(b.contiguous(memory_format=torch.channels_last)).latent_dist.mode()
            decoded = [vae.decode(z + d * z.std() * torch.randn(z.shape, generator=draw)).sample for d in disturbances]
        parts.append([x.float().clamp(-1, 1) for x in decoded])
    return [torch.cat(views) for views in zip(*parts)]


def gratings(count: int, draw: torch.Generator) -> torch.Tensor:
    """Stripes of random direction, frequency and colours, some nearly plain. (count, 3, 64, 64) in [-1, 1]."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    angle, frequency, phase = (torch.rand(count, 1, 1, generator=draw) for _ in range(3))
    wave = torch.sin(6.28 * (angle.mul(6.28).cos() * x + angle.mul(6.28).sin() * y) * 8 * frequency + 6.28 * phase)[:, None]
    colours = 2 * torch.rand(2, count, 3, 1, 1, generator=draw) - 1
    return torch.lerp(colours[0].expand(-1, -1, 64, 64), colours[1].expand(-1, -1, 64, 64), (wave + 1) / 2)


def broken(good: torch.Tensor, spoiled: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """As many pictures of no style as there are rows in `good`; `spoiled`: decoded from strongly disturbed latents."""
    n = len(good)
    partner = good[torch.randperm(n, generator=draw)]
    share = 0.3 + 0.4 * torch.rand(n, 1, 1, 1, generator=draw)
    ghosts = torch.lerp(good, partner, share)
    pieces = good.unfold(2, 16, 16).unfold(3, 16, 16).reshape(n, 3, 16, 16, 16)[:, :, torch.randperm(16, generator=draw)]
    shuffled = pieces.reshape(n, 3, 4, 4, 16, 16).permute(0, 1, 2, 4, 3, 5).reshape(n, 3, 64, 64)
    stripes = gratings(n, draw)
    overlaid = torch.where(good.mean(1, keepdim=True) < 0.95, torch.lerp(good, stripes, 0.6), good)
    kinds = torch.stack([ghosts, spoiled, shuffled, stripes, overlaid])
    return kinds[torch.randint(len(kinds), (n,), generator=draw), torch.arange(n)]


def jiggle(x: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Mirror, shift by up to 6 pixels, a little colour and grain: no turn or scale, which would blur what tells the styles apart."""
    n = len(x)
    x = torch.where(torch.rand(n, 1, 1, 1, generator=draw) < 0.5, x.flip(-1), x)
    rows, columns = ((torch.arange(64) + torch.randint(13, (n, 1), generator=draw)) for _ in range(2))
    wide = F.pad(x, (6,) * 4, value=1.0)
    x = wide[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    tint = 1 + 0.1 * torch.randn(n, 3, 1, 1, generator=draw)
    return (1 - (1 - x) * tint.clamp(0.7, 1.3) + 0.02 * torch.randn(x.shape, generator=draw)).clamp(-1, 1)


@torch.no_grad()
def accuracy(probe: StyleProbe, pictures: torch.Tensor, style: torch.Tensor) -> float:
    """Share of pictures (N, 3, 64, 64) in [-1, 1] whose style is named."""
    return (torch.cat([probe((b + 1) / 2) for b in pictures.split(256)]).argmax(1) == style).float().mean().item()


def styles_of(emoji: list[data.Emoji]) -> torch.Tensor:
    return torch.tensor([data.STYLES.index(e.style) for e in emoji])


def train(emoji, vae, scratch: Path, steps: int, batch: int, peak: float) -> None:
    torch.manual_seed(SEED)
    seen, unseen = data.split(emoji)
    style, held_style = styles_of(seen), styles_of(unseen)
    pictures, held = data.pictures(seen), data.pictures(unseen)
    kept = scratch / "style-views.pt"
    if not kept.exists():
        draw = generator(SEED, -7)
        torch.save([v.half() for v in through(vae, pictures, DISTURBANCES, draw)], kept)
    *views, spoiled = [v.float() for v in torch.load(kept, weights_only=True)]
    views = torch.stack([pictures, *views])  # (3, N, 3, 64, 64)
    held_again = through(vae, held, (0.0,), generator(SEED, -8))[0]

    probe = StyleProbe(list(data.STYLES)).to(memory_format=torch.channels_last)
    averaged = Averaged(probe, 0.998)
    optimizer = Muon(probe.parameters(), lr=peak, weight_decay=0.05)
    state = State(scratch / "style.pt", model=probe, averaged=averaged.module, optimizer=optimizer).restore()
    log = Log("style", every=100)
    for step in range(state.step, steps):
        draw = generator(SEED, step)
        rows = batch_indices(len(seen), batch, SEED, step)
        x = views[torch.randint(len(views), (batch,), generator=draw), rows]
        wrong = torch.rand(batch, generator=draw) < BROKEN_SHARE
        x = torch.where(wrong[:, None, None, None], broken(x, spoiled[rows], draw), x)
        truth = torch.where(wrong, len(data.STYLES), style[rows])
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak)
        with torch.autocast("cpu", torch.bfloat16):
            logits = probe(((jiggle(x, draw) + 1) / 2).contiguous(memory_format=torch.channels_last)).float()
        loss = F.cross_entropy(logits, truth, label_smoothing=0.05)
        learn(loss, probe, optimizer, averaged, step)
        log(step, loss=loss)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            state.save(step + 1)
            fresh, again = (accuracy(averaged.module, p, held_style) for p in (held, held_again))
            print(f"style {step + 1:6d}  held out: {fresh:.3f}, through the autoencoder {again:.3f}", flush=True)


def main() -> None:
    from .sd3 import load_parts

    parser = arguments(__doc__, steps=1500, batch=96, rate=2e-3)
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    vae = load_parts(args.scratch)[0].to(memory_format=torch.channels_last)
    train(data.load(args.parquet), vae, args.scratch, args.steps, args.batch, args.rate)


if __name__ == "__main__":
    main()
