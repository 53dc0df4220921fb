import io
import subprocess
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA

from core.diversity.projection import Pca, UmapMap


def features(seed=0, count=50, width=12):
    return np.random.default_rng(seed).standard_normal((count, width)) * np.linspace(3, 0.2, width)


def test_pca_against_scikit_learn():
    base, fresh = features(), features(1, 7)
    ours = Pca.fit(base)
    theirs = PCA(2).fit(base)
    expected = theirs.transform(fresh)
    found = ours.transform(fresh) * ours.scale + ours.offset
    for axis in (0, 1):
        sign = np.sign(found[:, axis] @ expected[:, axis])
        np.testing.assert_allclose(sign * found[:, axis], expected[:, axis], atol=1e-5)


def test_pca_fills_the_frame_and_is_never_mirrored():
    base = features()
    places = Pca.fit(base).transform(base)
    assert places.dtype == np.float32 and np.abs(places).max() == pytest.approx(1)
    assert np.ptp(places, axis=0).max() == pytest.approx(2)
    np.testing.assert_allclose(Pca.fit(base[::-1]).transform(base), places, atol=1e-5)


def test_pca_of_too_few_dimensions_or_spread():
    assert Pca.fit(np.arange(4.0)[:, None]).transform([[0.0], [3.0]]).tolist() in ([[-1, 0], [1, 0]], [[1, 0], [-1, 0]])
    assert np.isfinite(Pca.fit(np.ones((5, 3))).transform(np.ones((2, 3)))).all()
    with pytest.raises(ValueError, match="at least 2"):
        Pca.fit(np.ones((1, 3)))


def test_pca_survives_a_file_without_pickle():
    pca = Pca.fit(features())
    file = io.BytesIO()
    np.savez(file, **pca.to_arrays())
    file.seek(0)
    again = Pca.from_arrays(np.load(file, allow_pickle=False))
    assert np.array_equal(again.transform(features(2)), pca.transform(features(2)))


def test_umap_is_reproducible_framed_and_keeps_groups_apart():
    random = np.random.default_rng(0)
    centres = 8 * np.eye(2, 6)
    base = np.concatenate([c + random.standard_normal((20, 6)) for c in centres])
    one, other = UmapMap.fit(base, seed=3), UmapMap.fit(base, seed=3)
    assert np.array_equal(one.base, other.base)
    assert np.abs(one.base).max() <= 1 + 1e-5 and np.ptp(one.base, axis=0).max() == pytest.approx(2, abs=1e-4)
    fresh = one.transform(centres + 0.1)
    assert np.array_equal(fresh, other.transform(centres + 0.1))
    homes = one.base.reshape(2, 20, 2).mean(axis=1)
    assert [int(np.linalg.norm(homes - place, axis=1).argmin()) for place in fresh] == [0, 1]

    # what takes seconds to compile is kept for the next process
    from umap import umap_, utils

    for function in (umap_.smooth_knn_dist, umap_.compute_membership_strengths, utils.fast_knn_indices, utils.submatrix):
        assert function.signatures and function.stats.cache_path


def test_umap_of_too_few_is_refused():
    with pytest.raises(ValueError, match="at least 5"):
        UmapMap.fit(np.ones((4, 3)))


def test_the_light_parts_do_not_import_torch():
    code = "import sys, core.diversity.looks, core.diversity.projection, core.rewards.names, core.mapper; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
