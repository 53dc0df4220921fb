"""Miniature models of the real classes with random weights: a whole iteration takes a fraction of a second."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextModelWithProjection, CLIPTokenizer

torch.set_num_threads(1)  # on a busy machine threads wait for each other far longer than these models compute
STYLES = ["noto", "twemoji", "fluent-3d", "fluent-color", "fluent-flat"]
WORDS = 12  # tokens of a prompt
SIDE = 16  # pixels of a picture; latents are 4 x 8 x 8
_built: dict[str, Path] = {}


def _clip() -> tuple[CLIPModel, CLIPTokenizer]:
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(x + "</w>" for x in letters), "<|startoftext|>", "<|endoftext|>"]
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    config = CLIPConfig(
        text_config={**tower, **ends, "vocab_size": len(words), "max_position_embeddings": WORDS, "projection_dim": 8},
        vision_config={**tower, "image_size": SIDE, "patch_size": 8, "projection_dim": 8},
        projection_dim=8,
    )
    tokenizer = CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=[], model_max_length=WORDS)
    return CLIPModel(config).eval(), tokenizer


def clip_folder(root: Path) -> Path:
    """A CLIPModel with tokenizer and style probe, as emoji-clip has them."""
    torch.manual_seed(0)
    target = root / "tiny-clip"
    model, tokenizer = _clip()
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    CLIPImageProcessor(size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(target)
    probe = {"weight": torch.randn(len(STYLES), 8), "bias": torch.randn(len(STYLES))}
    save_file(probe, target / "style_probe.safetensors", metadata={"styles": json.dumps(STYLES)})
    return target


def sd3_folder(root: Path) -> Path:
    """A StableDiffusion3Pipeline of 2 layers x 32, patch 1, without a third text encoder, as emoji-sd3 is."""
    torch.manual_seed(1)
    target = root / "tiny-sd3"
    parent, tokenizer = _clip()
    tower = CLIPTextModelWithProjection(parent.config.text_config).eval()
    vae = AutoencoderKL(
        latent_channels=4,
        sample_size=SIDE,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.1,
        scaling_factor=1.3,
    )
    transformer = SD3Transformer2DModel(
        sample_size=SIDE // 2,
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=16,
        pos_embed_max_size=SIDE // 2,
        qk_norm="rms_norm",
    )
    StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=2.0),
        text_encoder=tower,
        text_encoder_2=tower,
        text_encoder_3=None,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=None,
    ).save_pretrained(target)
    return target


def folders(tmp_path_factory) -> tuple[Path, Path]:
    """(SD3 folder, CLIP folder), written once per session. Leave them as they are."""
    if not _built:
        root = tmp_path_factory.mktemp("models")
        _built.update(sd3=sd3_folder(root), clip=clip_folder(root))
    return _built["sd3"], _built["clip"]


def settings(model: Path, **changes) -> dict:
    """A run that is done in no time, deterministic on a CPU."""
    return {
        "model": str(model),
        "rewards": {"brightness": 1.0},
        "prompts": ["cat", "dog"],
        "group_size": 8,
        "steps": 4,
        "iterations": 4,
        "base_pictures": 24,
        "base_prompts": 2,
        "dtype": "float32",
        "device": "cpu",
        "learning_rate": 1e-3,
        "checkpoint_every": 2,
        "lora_rank": 4,
        "lora_alpha": 8,
        **changes,
    }
