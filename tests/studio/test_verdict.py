"""Verdicts against hand-made series."""

from __future__ import annotations

import pytest

from studio.data.verdict import Verdict, collapsing_below, leading, sentence, verdicts


def words(varieties, base=5.0, start=96, per=24):
    n = len(varieties)
    return verdicts(varieties, [base] * n, [start + per * i for i in range(n)])


def test_thresholds_without_history():
    assert words([5.0]) == ["Healthy"]
    assert words([4.0]) == ["Healthy"]  # q is exactly 0.80
    assert words([3.99]) == ["Narrowing"]
    assert words([2.25]) == ["Narrowing"]  # q is exactly 0.45
    assert words([2.24]) == ["Collapsing"]


def test_too_early_below_96_pictures():
    assert verdicts([1.0] * 5, [5.0] * 5, [24, 48, 72, 95, 96]) == ["Too early to say"] * 4 + ["Collapsing"]
    assert verdicts([1.0], [0.0], [960]) == ["Too early to say"]


def test_a_worse_word_comes_at_once_a_better_one_needs_more():
    # 0.79 is below; back at 0.81 and 0.82 it stays; 0.83 is healthy again
    falling = words([4.5, 3.95, 4.05, 4.1, 4.15])
    assert falling[:4] == ["Healthy", "Narrowing", "Narrowing", "Narrowing"] and falling[4] == "Healthy"
    low = words([2.2, 2.26, 2.38, 2.41])
    assert low[:3] == ["Collapsing"] * 3 and low[3] != "Collapsing"


def test_a_jump_from_low_to_high_passes_both_thresholds():
    assert words([2.0, 4.2])[-1] == "Healthy"
    assert words([2.0, 4.1])[-1] == "Recovering"


def test_recovering_needs_a_rise_of_more_than_0_12_looks_over_25_iterations():
    def rising(by):
        return words([3.0 + by * i / 25 for i in range(26)])[-1]

    assert rising(0.13) == "Recovering"
    assert rising(0.119) == "Narrowing"
    # the rise counts over 25 iterations only: an old one does not keep the word
    assert words([2.5, *[3.0] * 26])[-1] == "Narrowing"
    assert words([2.5, *[3.0] * 25])[-1] == "Recovering"


def test_recovering_is_kept_a_little_below_the_threshold():
    series = [3.0] * 26 + [3.13] + [3.10]
    assert words(series)[-2:] == ["Recovering", "Recovering"]
    assert words([3.0] * 27 + [3.10])[-1] == "Narrowing"


def test_flat_noise_around_a_threshold_does_not_flicker():
    noisy = [4.5] + [4.0 + (0.06 if i % 2 else -0.06) for i in range(40)]
    seen = words(noisy)
    assert sum(a != b for a, b in zip(seen, seen[1:])) == 1


def rows(varieties, shares, rewards=None):
    return [
        {"iteration": i, "variety": v, "reward": r, "pictures": 24 * i, "shares": {"0": s}}
        for i, (v, s, r) in enumerate(zip(varieties, shares, rewards or [0.0] * len(shares)))
    ]


def text(*args, **kwargs):
    return "".join(sentence(*args, **kwargs))


def test_sentences_name_cause_and_remedy():
    down = rows([5 - 0.1 * i for i in range(31)], [[0.2 + 0.02 * i, 0.8 - 0.02 * i, 0.0] for i in range(31)], [0.1 * i for i in range(31)])
    assert (
        text("Narrowing", down, [], "0")
        == "Look A has grown from 30 % at iteration 5 to 80 % of the pictures. A bonus for rare looks or a longer leash holds it."
    )
    said = text("Collapsing", down, [], "0")
    assert said.startswith("Look A makes 80 % of the pictures while reward still climbs.") and "Raise the diversity bonus β" in said
    assert "of the pictures while reward still climbs. Raise" in said and "since" not in said
    down[-1]["since"] = 16
    assert text("Collapsing", down, [], "0").startswith("Collapsing since iteration 16. Look A makes 80 %")
    assert "still climbs" not in text("Collapsing", rows([1.0] * 30, [[1.0, 0.0]] * 30), [], "0")

    turn = [{"iteration": 10, "label": "Diversity bonus", "name": "creative_beta", "old": 0.0, "new": 0.5}]
    up = rows([2 + 0.1 * max(0, i - 10) for i in range(21)], [[0.79, 0.21, 0.0]] * 15 + [[0.54, 0.46, 0.0]] * 6)
    assert (
        text("Recovering", up, turn, "0")
        == "Up from 2.0 at iteration 10, when the diversity bonus went from 0 to 0.50. Look A has gone from 79 % to 54 %."
    )

    others = [{"iteration": 10, "label": name, "old": old, "new": new} for name, old, new in (("Leash length", 0, 3), ("Leash strength", "auto", 0.6))]
    early = {"iteration": 3, "label": "Pull to base", "old": 0, "new": 1}
    two, three = text("Recovering", up, [early, *turn, others[0]], "0"), text("Recovering", up, [early, *turn, *others], "0")
    assert "when the diversity bonus went from 0 to 0.50 and the leash length from 0 to 3. Look A" in two
    assert "from 0 to 0.50, the leash length from 0 to 3, and 1 more dial was turned. Look A" in three

    fine = rows([5.0], [[0.4, 0.35, 0.25, 0.0]])
    assert text("Healthy", fine, [], "0") == "Every look the base model had is still here; the largest, look A, is at 40 %."
    assert text("Healthy", rows([5.0], [[0.6, 0.0, 0.4, 0.0]]), [], "0", name="cat").startswith(
        "2 of the base model's 3 looks are here; the largest, look A of “cat”"
    )
    assert "there are 24 so far" in text("Too early to say", rows([5.0] * 2, [[1.0, 0.0]] * 2), [], "0")


def test_an_alarm_stands_before_the_cause():
    shares = [[0.2 + 0.02 * i, 0.8 - 0.02 * i, 0.0] for i in range(31)]
    down = rows([5 - 0.1 * i for i in range(31)], shares, [0.1 * i for i in range(31)])
    down[-1] |= {"alarms": {"parting": 12}, "since": 16}
    parts = sentence("Narrowing", down, [], "0")
    assert parts[1::2] == ["Reward up, variety down", "80 %"] and parts[2] == " since iteration 12. Look A has grown from 30 % at iteration 5 to "
    said = text("Collapsing", down, [], "0")
    assert said.startswith("Reward up, variety down since iteration 12. Look A makes 80 % of the pictures. Raise") and "still climbs" not in said


def test_the_word_collapsing_follows_the_alarm_but_stays_clear_of_healthy():
    assert [collapsing_below(warn) for warn in (None, 30, 45, 90)] == [0.45, 0.30, 0.45, 0.75]
    assert Verdict(collapsing_below(60)).next(2.9, 5.0, 96) == "Collapsing" and Verdict(collapsing_below(30)).next(1.6, 5.0, 96) == "Narrowing"


def test_new_pictures_have_no_letter():
    assert leading([0.2, 0.1, 0.7]) == ("What is new", 0.7)
    assert leading([0.2, 0.7, 0.1]) == ("Look B", 0.7)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_one_state_gives_the_same_as_the_list(q):
    state = Verdict()
    series = [5 * q + 0.01 * i for i in range(60)]
    assert [state.next(v, 5.0, 96 + 24 * i) for i, v in enumerate(series)] == words(series)
