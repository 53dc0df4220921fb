"""Folders and hub names as people type them."""

import pytest

from core import places
from core.backbones.names import check_model
from core.clip_names import check_clip
from core.errors import UserError

UNHEARD_OF = ("W" * 10_000, f"{'W' * 5000}/{'W' * 5000}", "cat\0dog", "~nobody-is-called-so/x/y", "\ud800", "\u202ecat", '<img src=x onerror="x">', "a/b/c", "./a", "/", "")


def test_a_folder_is_found_and_no_name_is_too_odd_to_ask_for(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "file").touch()
    assert places.folder(str(tmp_path / "model")) == tmp_path / "model"
    assert places.folder(str(tmp_path / "file")) is None
    assert [places.folder(name) for name in UNHEARD_OF if name != "/"] == [None] * (len(UNHEARD_OF) - 1)


def test_hub_names_have_an_owner_and_a_name_of_the_hubs_own_letters():
    assert all(map(places.is_hub_name, ("stabilityai/stable-diffusion-3.5-medium", "a/b", "runwayml/x_y.z")))
    assert not any(map(places.is_hub_name, (*UNHEARD_OF, "a/b ", "C:/models", "../b", "a/" + "b" * 97)))


@pytest.mark.parametrize("name", UNHEARD_OF[:-2], ids=range(len(UNHEARD_OF) - 2))
def test_every_wrong_name_is_refused_in_one_short_line(name):
    for check in (check_model, check_clip):
        with pytest.raises(UserError) as refused:
            check(name)
        assert len(str(refused.value)) < 260 and str(refused.value).isprintable()

