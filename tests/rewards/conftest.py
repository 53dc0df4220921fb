import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from core.rewards.style import PROBE_FILE, StyleProbe

STYLES = ["noto", "twemoji", "fluent-3d"]


def make_clip_folder(folder):
    """A tiny CLIPModel with random weights, and a tokenizer of single letters, in the usual files."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(x + "</w>" for x in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {w: i for i, w in enumerate(words)}
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": len(words) - 2, "eos_token_id": len(words) - 1, "pad_token_id": len(words) - 1}
    config = CLIPConfig(
        text_config={**sizes, **ends, "vocab_size": len(words), "max_position_embeddings": 12},
        vision_config={**sizes, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    look = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.3, 0.2, 0.25], "size": {"shortest_edge": 16}}
    (folder / "preprocessor_config.json").write_text(json.dumps(look))
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    return make_clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def style_folder(tmp_path_factory):
    """A tiny style probe with random weights."""
    folder = tmp_path_factory.mktemp("style")
    torch.manual_seed(1)
    save_file(StyleProbe(STYLES, width=8).state_dict(), folder / PROBE_FILE, metadata={"styles": json.dumps(STYLES)})
    return folder


@pytest.fixture
def images():
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(3))
