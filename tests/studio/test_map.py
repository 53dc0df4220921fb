"""What the map asks of a run folder: dots of one prompt or all, selected and sampled pictures, kept grids."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_run import World, write_run
from test_data import unpack

from core.errors import UserError
from core.runs.database import unpack as embeddings
from studio.data import grids, points

PROMPTS = ("cat", "dog", "a <b>fish</b>")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "animals", iterations=12, prompts=PROMPTS, turn_at=6)


def test_base_can_be_asked_for_in_either_layout(run):
    with run.database(readonly=True) as db:
        rows = db.rows("SELECT * FROM pictures WHERE kind = 'base' AND prompt = 1 ORDER BY id")
        for how in ("umap", "pca"):
            told, columns = unpack(points.base(db, 1, how))
            assert (told["method"], told["umap"]) == (how, True)
            np.testing.assert_allclose(columns["y"], [r[f"{how}_y"] for r in rows], rtol=1e-6)
        assert unpack(points.base(db, 1))[0]["method"] == "umap"


def test_a_layout_that_is_not_there_is_not_shown(tmp_path):
    run = write_run(tmp_path / "bare", iterations=2)
    with run.database() as db:
        db.write("UPDATE pictures SET umap_x = NULL, umap_y = NULL")
        told, columns = unpack(points.base(db, 0, "umap"))
        assert (told["method"], told["umap"]) == ("pca", False) and not np.isnan(columns["x"]).any()


def test_all_prompts_lie_on_one_plane_of_principal_components(run):
    with run.database(readonly=True) as db:
        told, base = unpack(points.base_of_all(db))
        _, later = unpack(points.points_of_all(db, 10, 12))
        known = db.rows("SELECT prompt, embedding FROM pictures WHERE kind = 'base' ORDER BY iteration, id")
        new = db.rows("SELECT id, embedding FROM pictures WHERE kind = 'train' AND iteration > 10 ORDER BY iteration, id")
    assert told["n"] == len(known) and base["prompt"].tolist() == [r["prompt"] for r in known]
    assert later["id"].tolist() == [r["id"] for r in new] and set(later["prompt"]) == {0, 1, 2}
    # a second way to principal components: eigenvectors of the covariance; equal up to sign, offset and one scale
    features = embeddings(r["embedding"] for r in known).astype(float)
    axes = np.linalg.eigh(np.cov(features.T))[1][:, [-1, -2]]
    plane = (embeddings(r["embedding"] for r in new) - features.mean(0)) @ axes
    for axis, column in enumerate(("x", "y")):
        assert abs(np.corrcoef(plane[:, axis], later[column])[0, 1]) > 0.9999
    assert max(np.abs(base["x"]).max(), np.abs(base["y"]).max()) == pytest.approx(1, abs=1e-5)


def test_dots_of_prompts_without_a_base_measure_stay_off_the_map_of_all(tmp_path):
    run = write_run(tmp_path / "half", iterations=3, prompts=("cat", "dog"))
    with run.database() as db:
        db.write("UPDATE prompts SET mapped = 0 WHERE prompt = 1")
        assert set(unpack(points.points_of_all(db, 0, 3))[1]["prompt"]) == {0}


def test_selected_pictures_come_with_their_details(run):
    with run.database(readonly=True) as db:
        wanted = [r["id"] for r in db.rows("SELECT id FROM pictures WHERE kind = 'train' AND iteration = 3 LIMIT 5")]
        found = points.some(db, [*reversed(wanted), 10**9])["pictures"]
    assert [p["id"] for p in found] == wanted and all(p["iteration"] == 3 and isinstance(p["seed"], str) for p in found)


@pytest.mark.parametrize("ids", [[], "abc", None, [1.5, "x"], [0], [-1], [2**63], list(range(1, 402)), 7])
def test_odd_selections_are_refused(run, ids):
    with run.database(readonly=True) as db, pytest.raises(UserError) as told:
        grids.keep(run, db, ids)
    assert told.value.field == "ids" and not (run.path / "grids").exists()


def test_a_kept_grid_holds_its_pictures_and_where_they_come_from(tmp_path):
    run = write_run(tmp_path / "kept", iterations=4, prompts=("cat", "dog <i>\u202e \u732b"))
    with run.database(readonly=True) as db:
        rows = db.rows("SELECT * FROM pictures WHERE kind = 'train' AND iteration >= 3 ORDER BY id LIMIT 30 OFFSET 12")
        told = grids.keep(run, db, [r["id"] for r in rows])
        again = grids.keep(run, db, [rows[0]["id"]])
        third = grids.keep(run, db, [rows[1]["id"]])
    assert len({told["file"], again["file"], third["file"]}) == 3
    assert {g["file"] for g in grids.kept(run)} == {told["file"], again["file"], third["file"]}
    facts = told["facts"]
    best = sorted(rows, key=lambda r: -r["reward"])
    assert json.loads(facts["picture_seed"]) == [str(r["seed"]) for r in best]
    assert json.loads(facts["picture_iteration"]) == [r["iteration"] for r in best]
    assert json.loads(facts["prompts"]) == {"0": "cat", "1": "dog <i>\u202e \u732b"} and facts["run"] == "kept"
    picture = Image.open(grids.path(run, told["file"])).convert("RGB")
    assert picture.size == tuple(told["size"])
    # the first tile is the best picture, drawn again from its thumbnail
    first = Image.open(io.BytesIO(best[0]["thumb"])).convert("RGB").resize((96, 96), Image.Resampling.LANCZOS)
    tile = picture.crop((24, 58, 120, 154))
    inside = (2, 2, 94, 94)  # a hairline is drawn around it
    assert np.abs(np.asarray(tile.crop(inside), int) - np.asarray(first.crop(inside), int)).max() == 0
    assert not list((run.path / "grids").glob(".*"))
    # one can be deleted, and nothing else
    grids.remove(run, again["file"])
    assert {g["file"] for g in grids.kept(run)} == {told["file"], third["file"]}
    for wrong in (again["file"], "../config.yaml", "../run.db"):
        with pytest.raises(UserError):
            grids.remove(run, wrong)
    assert run.exists() and (run.path / "run.db").exists()


@pytest.mark.parametrize("file", ["../config.yaml", "config.yaml", "20260101-000000-3-pictures.png", "..%2frun.db", ".png", "a/b.png"])
def test_only_kept_grids_are_served(run, file):
    with pytest.raises(UserError):
        grids.path(run, file)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    run = write_run(tmp_path / "locked", iterations=1)
    (run.path / "grids").write_text("a file where the folder should be")
    with run.database(readonly=True) as db, pytest.raises(UserError, match="cannot be saved"):
        grids.keep(run, db, [1])


def test_sampled_pictures_are_those_of_the_command(tmp_path):
    run = write_run(tmp_path / "sampled", iterations=2, prompts=("cat", "dog"))
    world = World("dog", seed=9)
    with run.database() as db:
        first, second = db.send("sample", prompt=1), db.send("sample", prompt=1)
        assert points.sampled(db, first) == {"answer": None, "pictures": []}
        made = {}
        for command in (first, second):
            rows = world.pictures("sample", 2, 1, 24)
            made[command] = db.add_pictures(rows)
            db.add_event("sample", 2, prompt=1, seeds=[r["seed"] for r in rows])
            db.answer(command)
        refused = db.send("sample", prompt=7)
        db.answer(refused, "prompt: 7 is not in the list.")
        told = points.sampled(db, second)
        assert told["iteration"] == 2 and [p["id"] for p in told["pictures"]] == made[second]
        assert points.sampled(db, refused) == {"answer": "prompt: 7 is not in the list.", "pictures": []}
        with pytest.raises(UserError):
            points.sampled(db, 999)


def test_a_selection_survives_the_address():
    """Node runs the studio's own script: what is written is read again, and nonsense is no selection."""
    script = Path(__file__).parents[2] / "studio" / "static" / "lib" / "selection.js"
    code = f"""
      import {{ readSelection, writeSelection }} from {json.dumps(script.as_uri())};
      const ids = [900, 35, 36, 70000, 901];
      console.log(JSON.stringify([writeSelection({{ ids, of: 192 }}), readSelection(writeSelection({{ ids, of: 192 }})),
        writeSelection(null), writeSelection({{ ids: [], of: 3 }}), ...['', null, '5', 'a.b.', '<b>', 'x'.repeat(9) + '.1'].map(readSelection)]));
    """
    out = subprocess.run(["node", "--input-type=module", "-e", code], capture_output=True, text=True, check=True).stdout
    text, back, *nothing = json.loads(out)
    assert back == {"of": 192, "ids": [35, 36, 900, 901, 70000]} and len(text) < 25
    assert nothing == [None] * 8
