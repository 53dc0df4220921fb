import math

import pytest
import torch

from core.errors import UserError
from core.rewards.own import OwnReward


def write(folder, text):
    path = folder / "taste.py"
    path.write_text(text)
    return path


def test_gets_rounded_bytes_and_prompts(tmp_path, images):
    path = write(tmp_path, "def score(images, prompts):\n    assert images.shape == (4, 16, 16, 3) and images.dtype == 'uint8'\n"
                           "    return [float(i[2, 5, 1]) + len(p) for i, p in zip(images, prompts)]\n")  # fmt: skip
    scores = OwnReward(path)(images, ["", "a", "bb", "ccc"])
    torch.testing.assert_close(scores, (images[:, 1, 2, 5] * 255).round() + torch.arange(4.0))


def test_none_and_nan_mean_not_scored(tmp_path, images):
    path = write(tmp_path, "def score(images, prompts):\n    return [None, float('nan'), 1, True]\n")
    scores = OwnReward(path)(images, [""] * 4).tolist()
    assert math.isnan(scores[0]) and math.isnan(scores[1]) and scores[2:] == [1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", "taste.py has no function score"),
        ("score = 3\n", "taste.py has no function score"),
        ("def score(images prompts):\n    return 1\n", "taste.py, line 1: SyntaxError"),
        ("import os\nimport no_such_module_here\n", "taste.py, line 2: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "taste.py, line 1: SystemExit"),
    ],
)
def test_broken_files_are_told_when_loaded(tmp_path, text, words):
    with pytest.raises(UserError, match=words) as caught:
        OwnReward(write(tmp_path, text))
    assert caught.value.field == "reward_file" and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("    return [1.0]\n", "gave 1 numbers for 4 pictures"),
        ("    return [[1, 2]] * 4\n", "taste.py: TypeError"),
        ("    return 5\n", "taste.py: TypeError"),
        ("    return None\n", "taste.py: TypeError"),
        ("    return ['high'] * 4\n", "taste.py: ValueError"),
        ("    return [float('inf')] * 4\n", "infinite"),
        ("    y = 0\n    return [1 / y for _ in prompts]\n", "taste.py, line 3: ZeroDivisionError"),
        ("    import json\n    json.loads('{')\n", "taste.py, line 3: JSONDecodeError"),
    ],
)
def test_broken_scores_are_told_with_the_users_line(tmp_path, images, body, words):
    reward = OwnReward(write(tmp_path, "def score(images, prompts):\n" + body))
    with pytest.raises(UserError, match=words) as caught:
        reward(images, [""] * 4)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        OwnReward(tmp_path / "none.py")


def test_an_edited_file_is_read_anew_and_nothing_is_left_beside_it(tmp_path, images):
    assert OwnReward(write(tmp_path, "def score(i, p):\n    return [1] * 4\n"))(images, [""] * 4).sum() == 4
    assert OwnReward(write(tmp_path, "def score(i, p):\n    return [2] * 4\n"))(images, [""] * 4).sum() == 8
    assert [p.name for p in tmp_path.iterdir()] == ["taste.py"]
