import json
import shutil

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer, PreTrainedTokenizerFast

from core.clip import Preparation, load_clip
from core.clip_names import check_clip
from core.diversity.distance import pairwise
from core.diversity.perceptual import load as load_perceptual
from core.errors import UserError
from core.rewards.clip_score import ClipScore

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.3, 0.2, 0.25]).view(3, 1, 1)


@pytest.fixture
def model(clip_folder):
    return CLIPModel.from_pretrained(clip_folder).eval()


@torch.no_grad()
def image_embeds(model, images):
    return model.visual_projection(model.vision_model(pixel_values=(images - MEAN) / STD).pooler_output)


@torch.no_grad()
def test_clip_score_is_the_models_own_logit_without_scale(clip_folder, model, images):
    prompts = ["cat", "a dog", "cat", "zebra crossing the wide road"]  # the last one is cut
    tokens = CLIPTokenizer.from_pretrained(clip_folder)(prompts, padding=True, truncation=True, max_length=12, return_tensors="pt")
    logits = model(**tokens, pixel_values=(images - MEAN) / STD).logits_per_image
    expected = logits.diagonal() / model.logit_scale.exp()
    score = ClipScore(load_clip(clip_folder, "cpu"))
    torch.testing.assert_close(score(images, prompts), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(score(images.flip(0), prompts[::-1]), expected.flip(0), atol=1e-5, rtol=1e-4)


def test_features_do_not_depend_on_autocast_or_on_size_of_flat_pictures(clip_folder, images):
    clip = load_clip(clip_folder, "cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(clip.images(images), clip.images(images))
        inside = clip.images(images)
    assert inside.dtype == torch.float32 and torch.equal(inside, clip.images(images))
    flat = torch.full((1, 3, 40, 40), 0.7)
    torch.testing.assert_close(clip.images(flat), clip.images(flat[..., :16, :16]))


def test_folder_is_loaded_once(clip_folder):
    assert load_clip(clip_folder, "cpu") is load_clip(clip_folder, "cpu")


def test_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="cannot be loaded") as caught:
        load_clip(tmp_path / "none", "cpu")
    assert "\n" not in str(caught.value)


def test_perceptual_distance_is_one_minus_pearson(clip_folder, model, images):
    features = load_perceptual("clip", "cpu", clip_folder).embed(images)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.mean(dim=1), torch.zeros(4), atol=1e-6, rtol=0)
    expected = 1 - torch.corrcoef(image_embeds(model, images))
    torch.testing.assert_close(pairwise(features), expected.fill_diagonal_(0), atol=1e-5, rtol=0)


def test_dreamsim_and_unknown_measures_say_what_to_do(clip_folder):
    with pytest.raises(UserError, match="pickle only.*Use clip"):
        load_perceptual("dreamsim", "cpu", clip_folder)
    with pytest.raises(UserError, match="Use clip"):
        load_perceptual("lpips", "cpu", clip_folder)


# --- another CLIP than the embedded one -----------------------------------------------------------------------------
WORDS = ["[PAD]", "[UNK]", "[START]", "[END]", "a", "photo", "of", "the", "cat", "dog", "zebra"]


@pytest.fixture(scope="module")
def other_clip(tmp_path_factory):
    """A CLIPModel with pictures of 24 pixels, whose middle is cut out, other channel means, and a tokenizer of whole words."""
    folder = tmp_path_factory.mktemp("other-clip")
    tower = {"hidden_size": 12, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    ends = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    torch.manual_seed(5)
    CLIPModel(CLIPConfig(
        text_config={**tower, **ends, "vocab_size": len(WORDS), "max_position_embeddings": 7},
        vision_config={**tower, "image_size": 24, "patch_size": 8},
        projection_dim=10,
    )).save_pretrained(folder)
    words = Tokenizer(WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="[START] $A [END]", special_tokens=[("[START]", 2), ("[END]", 3)])
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", bos_token="[START]", eos_token="[END]").save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 26}, crop_size=24, image_mean=[0.1, 0.4, 0.8], image_std=[0.5, 0.3, 0.2]).save_pretrained(folder)
    return folder


@pytest.fixture
def photos():
    """Pictures in steps of 1 / 255, wider than high."""
    smooth = F.interpolate(torch.rand(3, 3, 5, 7, generator=torch.Generator().manual_seed(8)), size=(40, 56), mode="bicubic").clamp(0, 1)
    return smooth.mul(255).round().div(255)


@torch.no_grad()
def test_another_clip_is_used_with_its_own_tokenizer_and_preparation(other_clip, photos):
    """Against the processor and model of transformers, which resize in steps of 1 / 255."""
    check_clip(str(other_clip))
    prompts = ["a photo of the cat", "dog", "a photo of the zebra and the dog"]  # the last one is cut, and has an unknown word
    model, tokenizer = CLIPModel.from_pretrained(other_clip).eval(), AutoTokenizer.from_pretrained(other_clip)
    tokens = tokenizer(prompts, padding=True, truncation=True, max_length=7, return_tensors="pt")
    assert tokens["input_ids"][0].tolist() == [2, 4, 5, 6, 7, 8, 3] and tokens["input_ids"][1].tolist() == [2, 9, 3, 0, 0, 0, 0]
    pixels = CLIPImageProcessor.from_pretrained(other_clip)(photos.mul(255).byte(), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (3, 3, 24, 24)
    expected = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"], pixel_values=pixels)
    score = ClipScore(load_clip(str(other_clip), "cpu"))(photos, prompts)
    torch.testing.assert_close(score, (expected.logits_per_image / model.logit_scale.exp()).diagonal(), atol=2e-3, rtol=0)
    measure = load_perceptual("clip", "cpu", other_clip)
    torch.testing.assert_close(pairwise(measure.embed(photos)), (1 - torch.corrcoef(expected.image_embeds)).fill_diagonal_(0), atol=5e-3, rtol=0)
    assert measure.name == f"CLIP {other_clip.name}"


def test_preparation_is_that_of_transformers_pixel_by_pixel(other_clip, photos):
    prepared = Preparation.read(CLIPImageProcessor.get_image_processor_dict(other_clip)[0])(photos)
    expected = CLIPImageProcessor.from_pretrained(other_clip)(photos.mul(255).byte(), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(prepared, expected, atol=1.01 / 255 / 0.2, rtol=0)  # half a step of 1 / 255 is rounded away before each of two passes
    squeezed = Preparation((24, 24), (0.1, 0.4, 0.8), (0.5, 0.3, 0.2))(photos)
    assert (squeezed - prepared).abs().max() > 0.5


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), "lacks a tokenizer"),
        (lambda f: (f / "preprocessor_config.json").unlink(), "lacks the preparation of pictures"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "lacks weights in safetensors .* pickled weights are never read"),
        (lambda f: (f / "config.json").write_text('{"model_type": "siglip"}'), "is a siglip, not a clip"),
        (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda f: (f / "config.json").unlink(), "holds no config.json"),
    ],
)
def test_folder_that_cannot_be_used_is_told_without_loading(other_clip, tmp_path, damage, words):
    folder = shutil.copytree(other_clip, tmp_path / "copy")
    damage(folder)
    with pytest.raises(UserError, match=words) as caught:
        check_clip(str(folder))
    assert caught.value.field == "clip_model" and "\n" not in str(caught.value)


def drop_a_weight(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def look(folder, **changes):
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (drop_a_weight, "its weights lack visual_projection.weight"),
        (lambda f: look(f, crop_size=32), "pictures are prepared at .32, 32., but the model sees 24 x 24"),
        (lambda f: look(f, do_center_crop=False), "pictures keep different sizes"),
        (lambda f: (f / "model.safetensors").write_bytes(b"no tensors"), "cannot be loaded"),
    ],
)
def test_folder_that_loads_wrongly_is_refused_in_one_line(other_clip, tmp_path, damage, words):
    folder = shutil.copytree(other_clip, tmp_path / "copy")
    damage(folder)
    check_clip(str(folder))
    with pytest.raises(UserError, match=words) as caught:
        load_clip(folder, "cpu")
    assert caught.value.field == "clip_model" and "\n" not in str(caught.value)


def test_hub_name_is_kept_and_refused_where_there_is_no_network():
    check_clip("openai/clip-vit-large-patch14")
    with pytest.raises(UserError, match="clip_model: openai/no-such-clip is not on this computer"):
        load_clip("openai/no-such-clip", "cpu")
