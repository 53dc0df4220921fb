import pytest
import torch
from transformers import CLIPModel, CLIPTokenizer

from core.clip import load_clip
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
    with pytest.raises(UserError, match="not available yet.*Use clip"):
        load_perceptual("dreamsim", "cpu", clip_folder)
    with pytest.raises(UserError, match="Use clip"):
        load_perceptual("lpips", "cpu", clip_folder)
