"""Miniature models of the real classes with random weights: a whole iteration takes a fraction of a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    LDMPipeline,
    PNDMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from core.runs import checkpoints, folder

torch.set_num_threads(1)  # on a busy machine threads wait for each other far longer than these models compute
WORDS = 12  # tokens of a prompt
SIDE = 16  # pixels of a picture; latents are 4 x 8 x 8
SMALL = {"layers_per_block": 1, "attention_head_dim": 8, "norm_num_groups": 4}  # of a UNet
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
    """A CLIPModel with tokenizer, as emoji-clip has them."""
    torch.manual_seed(0)
    target = root / "tiny-clip"
    model, tokenizer = _clip()
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    CLIPImageProcessor(size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(target)
    return target


def _vae(**changes) -> AutoencoderKL:
    """Pictures to latents of half their side."""
    return AutoencoderKL(
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
        **changes,
    ).eval()


def sd3_folder(root: Path) -> Path:
    """A StableDiffusion3Pipeline of 2 layers x 32, patch 1, without a third text encoder, as emoji-sd3 is."""
    torch.manual_seed(1)
    target = root / "tiny-sd3"
    parent, tokenizer = _clip()
    tower = CLIPTextModelWithProjection(parent.config.text_config).eval()
    vae = _vae(shift_factor=0.1, scaling_factor=1.3)
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
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=2.0),
        text_encoder=tower,
        text_encoder_2=tower,
        text_encoder_3=None,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=None,
    ).save_pretrained(target)
    return target


def sd_folder(root: Path, prediction: str = "epsilon") -> Path:
    """A StableDiffusionPipeline of 2 levels with the scheduler of SD 1.5 (or SD 2, which predicts v) and no safety checker."""
    torch.manual_seed(2)
    target = root / f"tiny-sd-{prediction}"
    parent, tokenizer = _clip()
    blocks = {"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D")}
    unet = UNet2DConditionModel(SIDE // 2, **blocks, **SMALL, block_out_channels=(16, 32), cross_attention_dim=16)
    betas = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
    StableDiffusionPipeline(
        unet=unet.eval(),
        vae=_vae(scaling_factor=0.7),
        scheduler=PNDMScheduler(**betas, skip_prk_steps=True, prediction_type=prediction),
        text_encoder=CLIPTextModel(parent.config.text_config).eval(),
        tokenizer=tokenizer,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(target)
    return target


def _unet(side: int, channels: int) -> UNet2DModel:
    """2 levels with attention on the coarse one, as DDPMs have it."""
    blocks = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    return UNet2DModel(side, channels, channels, **blocks, **SMALL, block_out_channels=(8, 16)).eval()


def ddpm_folder(root: Path) -> Path:
    """A DDPMPipeline of pixels with the scheduler of google/ddpm-celebahq-256, which clips."""
    torch.manual_seed(3)
    DDPMPipeline(unet=_unet(SIDE, 3), scheduler=DDPMScheduler(clip_sample=True)).save_pretrained(root / "tiny-ddpm")
    return root / "tiny-ddpm"


def ldm_folder(root: Path, quantised: bool = False) -> Path:
    """An LDMPipeline: latents without a prompt, decoded by an AutoencoderKL, or by a VQModel as in CompVis/ldm-celebahq-256."""
    torch.manual_seed(4)
    target = root / f"tiny-ldm{'-vq' * quantised}"
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2, "block_out_channels": (8, 8)}
    vq = VQModel(**blocks, latent_channels=4, norm_num_groups=4, num_vq_embeddings=16, scaling_factor=0.7).eval()
    vae = vq if quantised else _vae(scaling_factor=0.7)
    LDMPipeline(vqvae=vae, unet=_unet(SIDE // 2, 4), scheduler=DDIMScheduler(clip_sample=False)).save_pretrained(target)
    return target


def diffusion_folder(tmp_path_factory, kind: str) -> Path:
    """The folder of sd, sd2 (which predicts v), ddpm, ldm or ldm-vq, written once per session. Leave it as it is."""
    build = {
        "sd": sd_folder,
        "sd2": lambda root: sd_folder(root, "v_prediction"),
        "ddpm": ddpm_folder,
        "ldm": ldm_folder,
        "ldm-vq": lambda root: ldm_folder(root, quantised=True),
    }
    if kind not in _built:
        _built[kind] = build[kind](tmp_path_factory.mktemp("models"))
    return _built[kind]


def folders(tmp_path_factory) -> tuple[Path, Path]:
    """(SD3 folder, CLIP folder), written once per session. Leave them as they are."""
    if "sd3" not in _built:
        root = tmp_path_factory.mktemp("models")
        _built.update(sd3=sd3_folder(root), clip=clip_folder(root))
    return _built["sd3"], _built["clip"]


def perturb(backbone, by: float = 0.3) -> None:
    """Move the adapter away from where it starts, which is no change at all."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in backbone.adapter().values():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))


def saved(place: Path, backbone, config, iteration: int = 3) -> folder.Run:
    """A run with the backbone's adapter as its checkpoint; the optimizer's tensors are no part of a LoRA."""
    run = folder.create(place / "demo", config)
    tensors = {f"lora/{name}": p.detach().numpy() for name, p in backbone.adapter().items()}
    checkpoints.save(run, iteration, tensors | {"optimizer/step/x": np.zeros(())}, {}, keep=5)
    return run


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
