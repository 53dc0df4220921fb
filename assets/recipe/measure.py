"""What the embedded models reach, as a table, and contact sheets to look at.

    python -m assets.recipe.measure PARQUET --animals ANIMALS_JSON --sheets DIR [--json FILE]

Reads the shipped folders with stock diffusers and transformers, as a user would.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusion3Pipeline
from PIL import Image
from transformers import CLIPModel, CLIPTokenizer

from core.backbones.folding import FoldedJointAttention
from core.diversity.fidelity import frechet_distance
from core.rewards.style import StyleProbe

from . import autoencoder, clip, data, sd3, style

MODELS = Path(__file__).resolve().parents[1] / "models"
SAMPLES, STEPS = 24, 10


def load_pipeline(folder: Path) -> StableDiffusion3Pipeline:
    pipeline = StableDiffusion3Pipeline.from_pretrained(folder, text_encoder_3=None, tokenizer_3=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


class Drawer:
    """Draws with the folded attention, which equals the stock pipeline and is several times faster."""

    def __init__(self, pipeline: StableDiffusion3Pipeline, device: str = "cpu"):
        self.pipeline = pipeline.to(device)
        self.device = device
        pipeline.transformer.set_attn_processor(FoldedJointAttention(sd3.ZERO_TOKENS))

    @torch.no_grad()
    def __call__(self, prompt: str, count: int, *, steps: int = STEPS, seed: int = 0, guidance: float = 1.0) -> torch.Tensor:
        """(count, 3, 64, 64) in [-1, 1]."""
        context, free, pooled, free_pooled = self.pipeline.encode_prompt(prompt, prompt, prompt, do_classifier_free_guidance=guidance > 1, negative_prompt="")
        cut = context.shape[1] - sd3.ZERO_TOKENS + 1
        repeat = lambda x: x.repeat_interleave(count, 0)
        extra = {} if guidance <= 1 else {"negative_prompt_embeds": repeat(free[:, :cut]), "negative_pooled_prompt_embeds": repeat(free_pooled)}
        images = self.pipeline(
            prompt_embeds=repeat(context[:, :cut]), pooled_prompt_embeds=repeat(pooled), num_inference_steps=steps,
            guidance_scale=guidance, generator=torch.Generator().manual_seed(seed), output_type="pt", **extra,
        ).images
        return images.cpu().float() * 2 - 1


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance of two Gaussians fitted to features (N, F)."""
    return frechet_distance(torch.from_numpy(a), torch.from_numpy(b))


def sheet(images: torch.Tensor, columns: int) -> Image.Image:
    rows = -(-len(images) // columns)
    canvas = np.full((rows * 66, columns * 66, 3), 255, np.uint8)
    for n, picture in enumerate(((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()):
        y, x = n // columns * 66, n % columns * 66
        canvas[y : y + 64, x : x + 64] = picture
    return Image.fromarray(canvas)


def animal_words(animals: dict) -> dict[str, set[str]]:
    """DDPO animal -> names that count as it (exact and face); the one without an exact emoji is left out."""
    return {word: {e["name"] for kind in ("exact", "face") for e in entry[kind]} for word, entry in animals.items() if entry["exact"]}


def measure(parquet: Path, animals_file: Path, sheets: Path, models: Path, guidance: float, device: str) -> dict:
    emoji = data.load(parquet)
    seen, unseen = data.split(emoji)
    sheets.mkdir(parents=True, exist_ok=True)
    pipeline = load_pipeline(models / "emoji-sd3")
    model, tokenizer = CLIPModel.from_pretrained(models / "emoji-clip").eval(), CLIPTokenizer.from_pretrained(models / "emoji-clip")
    probe = StyleProbe.load(models / "emoji-style", "cpu")
    names = sorted({e.name for e in emoji})
    table: dict = {}

    held = data.pictures(unseen)
    quality = autoencoder.quality(pipeline.vae.float().eval(), held)
    table["autoencoder PSNR (dB)"], table["autoencoder SSIM"] = quality["psnr"], quality["ssim"]
    with torch.no_grad():
        rebuilt = pipeline.vae.decode(pipeline.vae.encode(held[:32]).latent_dist.mode()).sample
    sheet(torch.stack([held[:32], rebuilt], 1).flatten(0, 1), 16).save(sheets / "autoencoder.png")

    one, five = clip.retrieval(model, tokenizer, unseen, names)
    table["emoji-clip R@1"], table["emoji-clip R@5"] = one, five
    table["style probe, held-out accuracy"] = style.accuracy(probe, held, style.styles_of(unseen))

    draw = Drawer(pipeline, device)
    text = clip.text_features(model, clip.tokenize(tokenizer, names))
    hits, varied, clean, drawn, worst = [], [], [], [], {}
    words = animal_words(json.loads(animals_file.read_text()))
    rows = []
    for number, (word, right) in enumerate(sorted(words.items())):
        images = draw(word, SAMPLES, seed=number, guidance=guidance)
        f = clip.image_features(model, images)
        top = (f @ text.T).topk(5, dim=1).indices
        good = torch.tensor([[names[i] in right for i in row] for row in top.tolist()]).any(1)
        kinds = probe((images + 1) / 2).argmax(1)
        hits.append(good.float().mean().item())
        varied.append(sum(s in kinds for s in range(len(data.STYLES))))
        clean.append((kinds < len(data.STYLES)).float().mean().item())
        worst[word] = hits[-1]
        drawn.append(f)
        rows.append(images[:12])
    sheet(torch.cat(rows), 12).save(sheets / "animals.png")
    others = ["animal", "fruit", "smiley", "plant", "drink", "cat, fluent-3d", "grinning face", "pizza"]
    sheet(torch.cat([draw(p, 12, seed=99, guidance=guidance) for p in others]), 12).save(sheets / "others.png")
    sheet(draw("cat", 48, seed=7, guidance=guidance), 12).save(sheets / "cats.png")
    table[f"emoji-sd3, {len(hits)} animals, top-5 share"] = float(np.mean(hits))
    table["samples that the style probe takes for a clean picture"] = float(np.mean(clean))
    table["prompts with at least 4 of 5 styles"] = float(np.mean(np.array(varied) >= 4))

    animal = [e for e in emoji if e.group == "Animals & Nature"]
    real = clip.image_features(model, data.pictures(animal)).numpy()
    order = np.random.default_rng(0).permutation(len(real))
    half = len(real) // 2
    fake = torch.cat(drawn).numpy()
    fake = fake[np.random.default_rng(1).permutation(len(fake))[:half]]
    table[f"Frechet distance, samples to real (n = {half})"] = frechet(fake, real[order[:half]])
    table[f"Frechet distance, real to real (n = {half})"] = frechet(real[order[half : 2 * half]], real[order[:half]])
    table["worst animals"] = dict(sorted(worst.items(), key=lambda kv: kv[1])[:8])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parquet", type=Path)
    parser.add_argument("--animals", type=Path, required=True)
    parser.add_argument("--sheets", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    table = measure(args.parquet, args.animals, args.sheets, args.models, args.guidance, args.device)
    for name, value in table.items():
        print(f"{name:52} {value if isinstance(value, dict) else round(value, 4)}")
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
