"""emoji-ddpm: an unconditional diffusion model of animals and smileys, in the latents of emoji-sd3's autoencoder.

    python -m assets.recipe.ddpm PARQUET --scratch DIR             # trains; killed and started again it goes on
    python -m assets.recipe.ddpm PARQUET --scratch DIR --package   # writes assets/models/emoji-ddpm
    python -m assets.recipe.ddpm PARQUET --scratch DIR --measure   # Frechet distance, seconds for ten pictures, a sheet

An LDMPipeline (UNet2DModel, DDIMScheduler) that shares emoji-sd3's autoencoder, so that its weights are shipped once; stock diffusers is
handed it: `LDMPipeline.from_pretrained("emoji-ddpm", vqvae=AutoencoderKL.from_pretrained("emoji-sd3", subfolder="vae"))`. It predicts v (Salimans and Ho 2022,
arXiv 2202.00512) on a cosine schedule (Nichol and Dhariwal 2021, arXiv 2102.09672); the last level is pure noise up to
diffusers' ceiling of beta. LDMPipeline knows a scale and no shift, so the latents are scaled only.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, LDMPipeline, UNet2DModel

from . import data, sd3
from .training import SAVE_EVERY, Averaged, Log, Muon, State, arguments, batch_indices, generator, learn, rate

CONFIG = dict(
    sample_size=8, in_channels=16, out_channels=16, layers_per_block=1, block_out_channels=(128, 128), norm_num_groups=16, attention_head_dim=32,
    down_block_types=("AttnDownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "AttnUpBlock2D"),
)  # fmt: skip
SCHEDULE = dict(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing")
SEED = 41
STEPS = 40  # of DDIM, when it is measured
MODELS = Path(__file__).resolve().parents[1] / "models"


def wanted(e: data.Emoji) -> bool:
    """Animals and smileys: what DDPO's animals and a face reward can speak about."""
    return e.subgroup.startswith("animal") or e.subgroup.startswith(("face", "cat", "monkey"))


def load(parquet: Path) -> list[data.Emoji]:
    return [e for e in data.load(parquet, ("Animals & Nature", "Smileys & Emotion")) if wanted(e)]


@torch.no_grad()
def latents(vae: AutoencoderKL, emoji: list[data.Emoji]) -> torch.Tensor:
    """(2 N, 16, 8, 8), scaled: every picture as it is, then mirrored."""
    pictures = data.pictures(emoji)
    z = [vae.encode(b).latent_dist.mode() for b in torch.cat([pictures, pictures.flip(-1)]).split(128)]
    return torch.cat(z) * vae.config.scaling_factor


def train(emoji: list[data.Emoji], scratch: Path, steps: int, batch: int, peak: float) -> None:
    torch.manual_seed(SEED)
    vae, *_ = sd3.load_parts(scratch)
    z = latents(vae, data.split(emoji)[0])
    scheduler = DDIMScheduler(**SCHEDULE)
    model = UNet2DModel(**CONFIG).to(memory_format=torch.channels_last)
    averaged = Averaged(model, 0.999)
    forward = torch.compile(model) if shutil.which("c++") else model
    optimizer = Muon(model.parameters(), lr=peak, weight_decay=0.01)
    state = State(scratch / "ddpm.pt", model=model, averaged=averaged.module, optimizer=optimizer).restore()
    log = Log("ddpm", every=100)
    print(f"ddpm: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, {len(z)} latents, spread {z.std():.3f}", flush=True)
    for step in range(state.step, steps):
        draw = generator(SEED, step)
        rows = batch_indices(len(z), batch, SEED, step)
        noise = torch.randn(batch, *z.shape[1:], generator=draw)
        timesteps = torch.randint(scheduler.config.num_train_timesteps, (batch,), generator=draw)
        x, target = scheduler.add_noise(z[rows], noise, timesteps), scheduler.get_velocity(z[rows], noise, timesteps)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak)
        with torch.autocast("cpu", torch.bfloat16):
            output = forward(x.to(memory_format=torch.channels_last), timesteps).sample.float()
        loss = F.mse_loss(output, target)
        learn(loss, model, optimizer, averaged, step)
        log(step, loss=loss)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            state.save(step + 1)


def package(scratch: Path, target: Path) -> None:
    """The averaged weights as bfloat16 safetensors, in one step: a half-written folder is never found under the name."""
    unet = UNet2DModel(**CONFIG)
    unet.load_state_dict(torch.load(scratch / "ddpm.pt", weights_only=True)["averaged"])
    draft = target.with_name(f"{target.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    LDMPipeline(vqvae=None, unet=unet.to(torch.bfloat16), scheduler=DDIMScheduler(**SCHEDULE)).save_pretrained(draft)
    index = draft / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_autoencoder_of": "emoji-sd3"}, indent=2, sort_keys=True) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)


def load_pipeline(models: Path) -> LDMPipeline:
    """The shipped folder, as a user of stock diffusers loads it."""
    return LDMPipeline.from_pretrained(models / "emoji-ddpm", vqvae=AutoencoderKL.from_pretrained(models / "emoji-sd3", subfolder="vae"))


def measure(parquet: Path, models: Path, sheets: Path) -> dict[str, float]:
    """Frechet distance in emoji-clip's space to real pictures, beside real to real at the same n, by stock diffusers."""
    import numpy as np
    from transformers import CLIPModel

    from . import clip
    from .measure import frechet, sheet

    pipeline = load_pipeline(models)
    pipeline.set_progress_bar_config(disable=True)
    model = CLIPModel.from_pretrained(models / "emoji-clip").eval()
    real = clip.image_features(model, data.pictures(load(parquet))).numpy()
    order, half = np.random.default_rng(0).permutation(len(real)), len(real) // 2
    pictures, seconds = [], []
    while sum(map(len, pictures)) < half:
        clock = time.perf_counter()
        drawn = pipeline(10, generator=torch.Generator().manual_seed(len(pictures)), num_inference_steps=STEPS, output_type="np").images
        seconds.append(time.perf_counter() - clock)
        pictures.append(torch.from_numpy(drawn).permute(0, 3, 1, 2) * 2 - 1)
    drawn = torch.cat(pictures)[:half]
    sheets.mkdir(parents=True, exist_ok=True)
    sheet(drawn[:96], 12).save(sheets / "ddpm.png")
    fake = clip.image_features(model, drawn).numpy()
    return {
        f"emoji-ddpm, Frechet distance, samples to real (n = {half})": frechet(fake, real[order[:half]]),
        f"emoji-ddpm, Frechet distance, real to real (n = {half})": frechet(real[order[half : 2 * half]], real[order[:half]]),
        f"emoji-ddpm, seconds for 10 pictures of {STEPS} DDIM steps (median)": float(np.median(seconds)),
    }


def main() -> None:
    parser = arguments(__doc__, steps=5000, batch=48, rate=1.5e-3)
    parser.add_argument("--package", action="store_true")
    parser.add_argument("--measure", action="store_true")
    args = parser.parse_args()
    if args.package:
        package(args.scratch, MODELS / "emoji-ddpm")
    elif args.measure:
        for name, value in measure(args.parquet, MODELS, args.scratch / "sheets").items():
            print(f"{name:68} {value:.3f}")
    else:
        train(load(args.parquet), args.scratch, args.steps, args.batch, args.rate)


if __name__ == "__main__":
    main()
