"""Stages 4 and 5: emoji-sd3's transformer, then guidance distilled into it.

    python -m assets.recipe.sd3 PARQUET train --scratch DIR   # rectified flow, captions mixed, some empty
    python -m assets.recipe.sd3 PARQUET guide --scratch DIR   # student learns what guided sampling would do

Guidance is distilled below noise level 0.75 only (the limited interval of Kynkaanniemi et al., arXiv 2404.07724): above it a
picture chooses what it becomes, and guidance would choose for it. There the student goes on learning from the data, in half of
each batch: the plain stage sees so few levels near 1 that it knew one owl of five.

Latents of every picture and of its mirror image are computed once. The transformer sees what stock diffusers will
show it: two CLIP embeddings side by side and 256 zero tokens in place of T5, the latter folded into one token.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, SD3Transformer2DModel
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from core.backbones.folding import FoldedJointAttention

from . import autoencoder, clip, data
from .training import SAVE_EVERY, Averaged, Log, Muon, State, arguments, batch_indices, generator, learn, rate

GROUPS = ("Animals & Nature", "Food & Drink", "Smileys & Emotion")
ZERO_TOKENS = 256  # StableDiffusion3Pipeline's default max_sequence_length
JOINT = 256        # two CLIP towers of 128
CONFIG = dict(
    sample_size=8, patch_size=1, in_channels=16, out_channels=16, num_layers=4, attention_head_dim=32, num_attention_heads=8,
    joint_attention_dim=JOINT, caption_projection_dim=256, pooled_projection_dim=256, pos_embed_max_size=16, qk_norm="rms_norm",
)
SEED = 23
CHOOSING = 0.75  # the noise level above which a picture's look is still open
SHIPPED = Path(__file__).resolve().parents[1] / "models" / "emoji-sd3"


def build() -> SD3Transformer2DModel:
    """Fresh weights, with the modulation and the output starting at zero (Peebles and Xie 2023, adaLN-Zero)."""
    model = SD3Transformer2DModel(**CONFIG)
    for block in model.transformer_blocks:
        for norm in (block.norm1, block.norm1_context):
            torch.nn.init.zeros_(norm.linear.weight)
            torch.nn.init.zeros_(norm.linear.bias)
    for layer in (model.norm_out.linear, model.proj_out):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    model.set_attn_processor(FoldedJointAttention(ZERO_TOKENS))
    return model


@torch.no_grad()
def latents(vae: AutoencoderKL, pictures: torch.Tensor) -> tuple[torch.Tensor, float, float]:
    """(normalised latents (N, 16, 8, 8), shift, scale), SD3 style: z' = (z - shift) * scale."""
    z = torch.cat([vae.encode(b.contiguous(memory_format=torch.channels_last)).latent_dist.mode() for b in pictures.split(128)])
    shift, scale = z.mean().item(), 1 / z.std().item()
    return ((z - shift) * scale).contiguous(), shift, scale


def training_pictures(emoji: list[data.Emoji]) -> tuple[list[data.Emoji], torch.Tensor]:
    """(N rows, 2 N pictures: as they are, then mirrored). Animals and plants twice: the demo's prompts are among them."""
    seen, _ = data.split(emoji)
    seen += [e for e in seen if e.group == "Animals & Nature"]
    pictures = data.pictures(seen)
    return seen, torch.cat([pictures, pictures.flip(-1)])


class Captions:
    """Text embeddings as StableDiffusion3Pipeline makes them from two equal towers, each caption encoded once."""

    def __init__(self, model, tokenizer: CLIPTokenizer, device: torch.device):
        self.model, self.tokenizer, self.device, self.known = model.eval(), tokenizer, device, {}

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """(context (B, 17, 256), pooled (B, 256)); the last context token stands for the zeros of T5."""
        new = sorted(set(texts) - set(self.known))
        if new:
            ids = clip.tokenize(self.tokenizer, new)
            out = self.model(input_ids=ids, output_hidden_states=True)
            for text, hidden, p in zip(new, out.hidden_states[-2], out.text_embeds):
                context = torch.zeros(clip.LENGTH + 1, JOINT)
                context[:-1] = torch.cat([hidden, hidden], dim=-1)
                self.known[text] = (context.to(self.device), torch.cat([p, p]).to(self.device))
        contexts, pooled = zip(*(self.known[t] for t in texts))
        return torch.stack(contexts), torch.stack(pooled)


def velocity(model, x, sigma, condition):
    context, pooled = condition
    return model(hidden_states=x, timestep=sigma * 1000, encoder_hidden_states=context, pooled_projections=pooled, return_dict=False)[0]


def load_parts(scratch: Path):
    """(autoencoder, text tower, tokenizer) of the earlier stages; the shipped ones where the scratch folder has none."""
    if (scratch / "autoencoder.pt").exists():
        vae = AutoencoderKL(**autoencoder.CONFIG)
        vae.load_state_dict(torch.load(scratch / "autoencoder.pt", weights_only=True)["averaged"])
    else:
        vae = AutoencoderKL.from_pretrained(SHIPPED / "vae")
    if (scratch / "text.pt").exists():
        return vae.eval(), clip.text_tower(clip.load(scratch, "text")), CLIPTokenizer.from_pretrained(scratch / "tokenizer")
    return vae.eval(), CLIPTextModelWithProjection.from_pretrained(SHIPPED / "text_encoder").eval(), CLIPTokenizer.from_pretrained(SHIPPED / "tokenizer")


def load_weights(model: SD3Transformer2DModel, source: Path) -> None:
    """Averaged weights of a state file, or of a transformer folder (for example the shipped one)."""
    if source.is_dir():
        model.load_state_dict(SD3Transformer2DModel.from_pretrained(source).state_dict())
    else:
        model.load_state_dict(torch.load(source, weights_only=True)["averaged"])


def train(emoji, scratch: Path, steps: int, batch: int, peak: float, guidance: float | None, initial: Path | None, device: torch.device) -> None:
    torch.manual_seed(SEED)
    vae, towers, tokenizer = load_parts(scratch)
    seen, pictures = training_pictures(emoji)
    z, shift, scale = latents(vae, pictures)
    z = z.to(device)
    captions = Captions(towers, tokenizer, device)
    model = build().to(device)
    stage = "sd3" if guidance is None else "sd3-guided"
    teacher = None
    if guidance is not None:
        teacher = build().eval().requires_grad_(False).to(device)
        load_weights(teacher, initial or scratch / "sd3.pt")
        model.load_state_dict(teacher.state_dict())
    elif initial:
        load_weights(model, initial)
    averaged = Averaged(model, 0.999)
    forward = torch.compile(model) if shutil.which("c++") or device.type == "cuda" else model
    optimizer = Muon(model.parameters(), lr=peak, weight_decay=0.01, longest=6)
    state = State(scratch / f"{stage}.pt", model=model, averaged=averaged.module, optimizer=optimizer).restore()
    log = Log(stage, every=100)
    print(f"{stage}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, {len(z)} latents, shift {shift:.4f}, scale {scale:.4f}", flush=True)
    for step in range(state.step, steps):
        rng, draw = random.Random(SEED * 6007 + step), generator(SEED, step)
        rows = batch_indices(len(z), batch, SEED, step)
        texts = [data.caption(seen[i % len(seen)], rng, empty=0.12) for i in rows.tolist()]
        condition = captions(texts)
        noise = torch.randn(batch, *z.shape[1:], generator=draw).to(device)
        sigma = torch.sigmoid(0.2 + 1.2 * torch.randn(batch, generator=draw)).to(device)
        if teacher is not None:
            half = batch // 2  # these are led by the teacher, the others learn from the data how to choose
            sigma = torch.cat([CHOOSING * sigma[:half], 1 - (1 - CHOOSING) * torch.rand(batch - half, generator=draw).to(device)])
        x = torch.lerp(z[rows], noise, sigma[:, None, None, None])
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak)
        with torch.autocast(device.type, torch.bfloat16):
            target = noise - z[rows]
            if teacher is not None:
                with torch.no_grad():
                    free = velocity(teacher, x[:half], sigma[:half], captions([""] * half)).float()
                    led = velocity(teacher, x[:half], sigma[:half], tuple(c[:half] for c in condition)).float()
                    target[:half] = free + guidance * (led - free)
            output = velocity(forward, x, sigma, condition).float()
        loss = F.mse_loss(output, target)
        learn(loss, model, optimizer, averaged, step)
        log(step, loss=loss, **({} if teacher is None else {"choosing": F.mse_loss(output[half:], target[half:])}))
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            state.save(step + 1)


def main() -> None:
    parser = arguments(__doc__, steps=12_000, batch=64, rate=1.5e-3)
    parser.add_argument("stage", choices=("train", "guide"))
    parser.add_argument("--guidance", type=float, default=1.5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--init", type=Path, default=None, help="start from these weights: a state file or a transformer folder")
    args = parser.parse_args()
    guidance = args.guidance if args.stage == "guide" else None
    train(data.load(args.parquet, GROUPS), args.scratch, args.steps, args.batch, args.rate, guidance, args.init, torch.device(args.device))


if __name__ == "__main__":
    main()
