"""Stage 1: the autoencoder, 64x64x3 -> 8x8x16 -> 64x64x3.

    python -m assets.recipe.autoencoder PARQUET --scratch DIR
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from . import data
from .training import SAVE_EVERY, Averaged, Log, Muon, State, arguments, batch_indices, generator, learn, rate

CONFIG = dict(
    in_channels=3, out_channels=3, latent_channels=16, sample_size=64,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    block_out_channels=(24, 48, 96, 128), layers_per_block=1, norm_num_groups=8, mid_block_add_attention=False,
    use_quant_conv=False, use_post_quant_conv=False,
)
SEED = 7


def reconstruction_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 + gradient L1 + 4 MSE on [-1, 1] pictures: sharp lines, and the PSNR that is reported."""
    dx = (output[..., 1:] - output[..., :-1]) - (target[..., 1:] - target[..., :-1])
    dy = (output[..., 1:, :] - output[..., :-1, :]) - (target[..., 1:, :] - target[..., :-1, :])
    return F.l1_loss(output, target) + 0.5 * (dx.abs().mean() + dy.abs().mean()) + 4 * F.mse_loss(output, target)


@torch.no_grad()
def quality(model: AutoencoderKL, images: torch.Tensor) -> dict[str, float]:
    """Mean over pictures of PSNR (dB) and SSIM on [0, 1]; `images` (N, 3, 64, 64) in [-1, 1]."""
    output = torch.cat([model.decode(model.encode(b).latent_dist.mode()).sample for b in images.split(64)])
    output, target = (output.clamp(-1, 1) + 1) / 2, (images + 1) / 2
    mse = (output - target).square().flatten(1).mean(1).clamp_min(1e-10)
    return {
        "psnr": (-10 * mse.log10()).mean().item(),
        "ssim": ssim(output, target, data_range=1.0).item(),
    }


def train(images, held_out, scratch: Path, steps: int, batch: int, peak: float) -> None:
    torch.manual_seed(SEED)
    model = AutoencoderKL(**CONFIG).to(memory_format=torch.channels_last)
    averaged = Averaged(model)
    optimizer = Muon(model.parameters(), lr=peak)
    stage = "autoencoder"
    state = State(scratch / f"{stage}.pt", model=model, averaged=averaged.module, optimizer=optimizer).restore()
    log = Log(stage)
    for step in range(state.step, steps):
        draw = generator(SEED, step)
        x = images[batch_indices(len(images), batch, SEED, step)]
        flip = torch.rand(batch, generator=draw) < 0.5
        x = torch.where(flip[:, None, None, None], x.flip(-1), x).contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = model.encode(x).latent_dist
            mean, spread = posterior.mean.float(), posterior.std.float()
            z = mean + spread * torch.randn(mean.shape, generator=draw)
            output = model.decode(z).sample.float()
        kl = 0.5 * (mean.square() + spread.square() - 1 - 2 * spread.log()).mean()
        loss = reconstruction_loss(output, x) + 1e-3 * kl
        learn(loss, model, optimizer, averaged, step)
        log(step, loss=loss, kl=kl, mse=F.mse_loss(output, x))
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            state.save(step + 1)
            q = quality(averaged.module, held_out[:128])
            print(f"{stage} {step + 1:6d}  held out: {q['psnr']:.2f} dB  SSIM {q['ssim']:.4f}", flush=True)


def main() -> None:
    parser = arguments(__doc__, steps=1800, batch=16, rate=2e-3)
    args = parser.parse_args()
    seen, unseen = data.split(data.load(args.parquet))
    train(data.pictures(seen), data.pictures(unseen), args.scratch, args.steps, args.batch, args.rate)


if __name__ == "__main__":
    main()
