import io

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from core.diversity.looks import Looks

SIZES = (60, 30, 20, 10)


def draw(sizes=SIZES, seed=0, noise=0.5, width=64):
    """Unit features around fixed random directions, with their group."""
    centres = np.random.default_rng(99).standard_normal((len(sizes), width))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    random = np.random.default_rng(seed)
    truth = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = centres[truth] + noise * random.standard_normal((len(truth), width)) / np.sqrt(width)
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), truth


def test_letters_follow_the_shares():
    features, truth = draw()
    looks = Looks.fit(features)
    assert adjusted_rand_score(truth, looks.labels) == 1
    assert looks.base_shares.tolist() == [n / 120 for n in SIZES]
    assert np.array_equal(looks.labels, truth)
    assert [int(looks.labels[m]) for m in looks.medoids] == [0, 1, 2, 3]


def test_medoid_is_the_member_nearest_to_the_centre():
    features, _ = draw()
    looks = Looks.fit(features)
    for k, medoid in enumerate(looks.medoids):
        members = np.flatnonzero(looks.labels == k)
        assert medoid == members[(features[members] @ looks.centres[k]).argmax()]


@pytest.mark.parametrize("sizes", [SIZES, (300, 200, 100)])  # 600 are clustered on a part, which must be the same part
def test_order_of_the_base_pictures_does_not_matter(sizes):
    features, _ = draw(sizes, noise=4)
    order = np.random.default_rng(5).permutation(len(features))
    one, other = Looks.fit(features), Looks.fit(features[order])
    assert np.array_equal(one.labels[order], other.labels)
    assert np.array_equal(order[other.medoids], one.medoids)
    assert one.reach == pytest.approx(other.reach)


def test_fresh_base_pictures_take_the_right_letter_and_are_rarely_new():
    looks = Looks.fit(draw()[0])
    features, truth = draw(tuple(10 * n for n in SIZES), seed=8)
    labels = looks.assign(features)
    assert 0 < (labels == -1).mean() < 0.04
    assert (labels == truth)[labels >= 0].all()


def test_a_far_picture_is_new():
    features, _ = draw()
    looks = Looks.fit(features)
    far = np.random.default_rng(1).standard_normal((3, 64))
    assert looks.assign(far).tolist() == [-1, -1, -1]
    assert looks.assign(looks.centres).tolist() == [0, 1, 2, 3]


def test_shares_end_with_new():
    looks = Looks.fit(draw()[0])
    assert looks.shares(np.array([0, 0, 3, -1])) == [0.5, 0, 0, 0.25, 0.25]
    assert sum(looks.shares(looks.labels)) == pytest.approx(1)


def test_a_large_base_is_clustered_on_a_part():
    features, truth = draw((500, 300, 100))
    looks = Looks.fit(features)
    assert adjusted_rand_score(truth, looks.labels) == 1
    assert looks.labels.shape == (900,)


def test_identical_base_is_one_look():
    features = np.tile(draw()[0][:1], (30, 1))
    looks = Looks.fit(features)
    assert len(looks.centres) == 1 and looks.base_shares.tolist() == [1]
    assert (looks.assign(features) == 0).all()


def test_a_stray_picture_makes_no_look():
    features, _ = draw((60, 40))
    features[7] = np.eye(64, dtype=np.float32)[0]
    assert np.bincount(Looks.fit(features).labels).min() >= 3


def test_survives_a_file_without_pickle():
    looks = Looks.fit(draw()[0])
    file = io.BytesIO()
    np.savez(file, **looks.to_arrays())
    file.seek(0)
    again = Looks.from_arrays(np.load(file, allow_pickle=False))
    fresh = draw(seed=4)[0]
    assert np.array_equal(again.assign(fresh), looks.assign(fresh)) and again.reach == looks.reach


def test_empty_base_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Looks.fit(np.zeros((0, 4)))
