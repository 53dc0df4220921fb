"""Stage 2: emoji-clip, a CLIPModel with its own small BPE tokenizer.

    python -m assets.recipe.clip PARQUET --scratch DIR

Image and text are matched with several positives a row: a caption belongs to every picture that it could have been
drawn for, so 'animal' is not a wrong answer for a cat. Two heads that are not part of CLIP sharpen the image tower and
are thrown away after training: which emoji it is, and which of the five styles.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers import Regex
from torch import nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from . import data
from .training import SAVE_EVERY, Averaged, Log, Muon, State, arguments, batch_indices, generator, learn, rate

VOCABULARY, LENGTH, SEED = 2048, 16, 11
TEXT = dict(hidden_size=128, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=LENGTH,
            vocab_size=VOCABULARY, bos_token_id=VOCABULARY - 2, eos_token_id=VOCABULARY - 1, pad_token_id=VOCABULARY - 1, projection_dim=128)
VISION = dict(hidden_size=192, intermediate_size=768, num_hidden_layers=5, num_attention_heads=6, image_size=64, patch_size=8, projection_dim=128)


def train_tokenizer(emoji: list[data.Emoji]) -> CLIPTokenizer:
    """A byte-level BPE with CLIP's word ends, trained on every caption that can be drawn."""
    corpus = []
    for e in emoji:
        corpus += [e.name, e.plain_name, e.style, e.subgroup.replace("-", " "), data.group_caption(e), *e.keywords]
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    bpe.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(words, behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2, end_of_word_suffix="</w>", initial_alphabet=sorted(alphabet), show_progress=False))
    trained = json.loads(bpe.to_str())["model"]
    vocabulary = dict(trained["vocab"])
    for i in range(len(vocabulary), VOCABULARY - 2):
        vocabulary[f"<|unused{i}|>"] = i
    vocabulary |= {"<|startoftext|>": VOCABULARY - 2, "<|endoftext|>": VOCABULARY - 1}
    merges = [tuple(m) if not isinstance(m, str) else tuple(m.split(" ")) for m in trained["merges"]]
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    return tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids


def build() -> CLIPModel:
    return CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=128, logit_scale_init_value=2.6592))


def load(scratch: Path, stage: str) -> CLIPModel:
    """Averaged CLIPModel of a stage's state."""
    state = torch.load(scratch / f"{stage}.pt", weights_only=True)["averaged"]
    model = build().eval()
    model.load_state_dict({k.removeprefix("clip."): v for k, v in state.items() if k.startswith("clip.")})
    return model


def text_tower(parent: CLIPModel) -> CLIPTextModelWithProjection:
    """The text half of a CLIPModel as the class that Stable Diffusion 3 loads."""
    tower = CLIPTextModelWithProjection(CLIPTextConfig(**TEXT)).eval()
    tower.text_model.load_state_dict(parent.text_model.state_dict())
    tower.text_projection.load_state_dict(parent.text_projection.state_dict())
    return tower


def augment(x: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Shift, scale, slight turn, mirror, colour and contrast; white stays outside. (B, 3, 64, 64) in [-1, 1]."""
    n = len(x)
    u = lambda low, high: low + (high - low) * torch.rand(n, generator=draw)
    angle, scale = u(-0.25, 0.25), u(0.85, 1.35)
    mirror = torch.where(torch.rand(n, generator=draw) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack([torch.stack([cos * mirror, -sin, u(-0.15, 0.15)], 1), torch.stack([sin * mirror, cos, u(-0.15, 0.15)], 1)], 1)
    moved = F.grid_sample(x - 1, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False) + 1
    grey = moved.mean(1, keepdim=True)
    saturation = u(0.4, 1.4)[:, None, None, None]
    moved = grey + (moved - grey) * saturation
    tint = 1 + 0.15 * torch.randn(n, 3, 1, 1, generator=draw)
    moved = 1 - (1 - moved) * tint.clamp(0.6, 1.4)
    noise = 0.08 * torch.rand(n, 1, 1, 1, generator=draw) * torch.randn(moved.shape, generator=draw)
    return (moved + noise).clamp(-1, 1)


def masked_image_features(model: CLIPModel, x: torch.Tensor, draw: torch.Generator, keep: int = 32) -> torch.Tensor:
    """Projected features seen through `keep` of the 64 patches (FLIP, 2212.00794): half the work, and harder to overfit."""
    tower = model.vision_model
    tokens = tower.embeddings(x)  # (B, 1 + 64, D)
    kept = torch.rand(len(x), tokens.shape[1] - 1, generator=draw).argsort(1)[:, :keep] + 1
    kept = torch.cat([torch.zeros(len(x), 1, dtype=torch.long), kept], 1)[..., None].expand(-1, -1, tokens.shape[-1])
    hidden = tower.encoder(inputs_embeds=tower.pre_layrnorm(tokens.gather(1, kept))).last_hidden_state
    return model.visual_projection(tower.post_layernorm(hidden[:, 0]))


def captions_of(e: data.Emoji) -> set[str]:
    """Every caption that `data.caption` could draw for it."""
    return {e.name, e.plain_name, f"{e.name}, {e.style}", f"{e.plain_name}, {e.style}", e.subgroup.replace("-", " "), data.group_caption(e), *e.keywords}


def contrastive_loss(image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """Both directions of softmax cross-entropy with the mass spread over a row's positives. `positive` bool (B, B)."""
    logits = scale * image @ text.T
    rows, columns = positive.float(), positive.T.float()
    rows, columns = rows / rows.sum(1, keepdim=True), columns / columns.sum(1, keepdim=True)
    return -(rows * logits.log_softmax(1)).sum(1).mean() / 2 - (columns * logits.T.log_softmax(1)).sum(1).mean() / 2


@torch.no_grad()
def image_features(model: CLIPModel, images: torch.Tensor) -> torch.Tensor:
    """Projected, unit length, (N, 128); `images` in [-1, 1], which is also CLIP's input here (mean and std one half)."""
    parts = [model.get_image_features(pixel_values=b).pooler_output for b in images.split(256)]
    return F.normalize(torch.cat(parts), dim=-1)


@torch.no_grad()
def text_features(model: CLIPModel, ids: torch.Tensor) -> torch.Tensor:
    return F.normalize(torch.cat([model.get_text_features(input_ids=b).pooler_output for b in ids.split(256)]), dim=-1)


def retrieval(model: CLIPModel, tokenizer: CLIPTokenizer, held_out: list[data.Emoji], names: list[str]) -> tuple[float, float]:
    """(R@1, R@5): share of held-out pictures whose own name is first, or in the first five, among all names."""
    features = image_features(model, data.pictures(held_out))
    ranks = (features @ text_features(model, tokenize(tokenizer, names)).T).topk(5, dim=1).indices
    truth = torch.tensor([names.index(e.name) for e in held_out])[:, None]
    hits = ranks == truth
    return hits[:, 0].float().mean().item(), hits.any(1).float().mean().item()


def train(emoji, scratch: Path, steps: int, batch: int, peak: float) -> None:
    torch.manual_seed(SEED)
    seen, unseen = data.split(emoji)
    names = sorted({e.name for e in emoji})
    stage = "clip"
    scratch.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(emoji)
    tokenizer.save_pretrained(scratch / "tokenizer")
    codepoints = {c: i for i, c in enumerate(sorted({e.codepoint for e in emoji}))}
    which = torch.tensor([codepoints[e.codepoint] for e in seen])
    style = torch.tensor([data.STYLES.index(e.style) for e in seen])
    pictures, owned = data.pictures(seen), [captions_of(e) for e in seen]

    model = build()
    heads = nn.ModuleDict({"which": nn.Linear(128, len(codepoints)), "style": nn.Linear(128, len(data.STYLES))})
    together = nn.ModuleDict({"clip": model, "heads": heads})
    averaged = Averaged(together, 0.998)
    optimizer = Muon(together.parameters(), lr=peak, weight_decay=0.05)
    state = State(scratch / f"{stage}.pt", model=together, averaged=averaged.module, optimizer=optimizer).restore()
    log = Log(stage)
    for step in range(state.step, steps):
        rng, draw = random.Random(SEED * 7919 + step), generator(SEED, step)
        rows = batch_indices(len(seen), batch, SEED, step)
        texts = [data.caption(seen[i], rng) for i in rows.tolist()]
        positive = torch.tensor([[t in owned[i] for t in texts] for i in rows.tolist()])
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, peak)
        with torch.autocast("cpu", torch.bfloat16):
            image = masked_image_features(model, augment(pictures[rows], draw), draw, 32 if step < 0.9 * steps else 64)
            text = model.get_text_features(input_ids=tokenize(tokenizer, texts)).pooler_output
        image, text = F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)
        match = contrastive_loss(image, text, model.logit_scale.exp().clamp(max=100), positive)
        known = F.cross_entropy(16 * heads["which"](image), which[rows], label_smoothing=0.1)
        drawn = F.cross_entropy(8 * heads["style"](image), style[rows])
        loss = match + 0.5 * known + 0.5 * drawn
        learn(loss, together, optimizer, averaged, step)
        log(step, match=match, known=known, drawn=drawn)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            state.save(step + 1)
            one, five = retrieval(averaged.module["clip"], tokenizer, unseen, names)
            print(f"{stage} {step + 1:6d}  held out: R@1 {one:.3f}  R@5 {five:.3f}", flush=True)


def main() -> None:
    parser = arguments(__doc__, steps=1500, batch=192, rate=2e-3)
    args = parser.parse_args()
    train(data.load(args.parquet), args.scratch, args.steps, args.batch, args.rate)


if __name__ == "__main__":
    main()
