"""Was a fit still improving: how often noise looks so, and what is said."""

from __future__ import annotations

from itertools import permutations

import pytest

from bayeshyper.inference import History
from bayeshyper.inference.improvement import CHANCE, LAST, improvement, unfinished


def test_noise_looks_like_a_rise_no_oftener_than_chance_allows() -> None:
    orders = list(permutations(range(LAST)))
    seen = sum(improvement(order) is not None for order in orders)
    assert seen == 6  # all in order, or two neighbours out of place
    assert seen / len(orders) <= CHANCE


@pytest.mark.parametrize(
    "curve",
    [[], [1.0], [-3.0, -2.0, -1.0], [0.0] * 6, [0.0, 0.01, 0.02, 0.03, 0.04, 0.05], [5, 4, 3, 2, 1, 0]],
)
def test_what_stands_still_or_falls_or_is_too_short_to_tell_is_no_rise(curve: list[float]) -> None:
    assert improvement(curve) is None


def test_a_rise_is_that_of_the_last_two_over_the_first_two() -> None:
    assert improvement([9.0, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0]) == pytest.approx(0.8)


def test_the_sentence_says_what_rose_and_a_fit_that_stopped_itself_has_converged() -> None:
    rising = [-1.0, -0.9, -0.8, -0.7, -0.6, -0.5]
    looks = list(range(100, 700, 100))
    fit = History(steps=looks, best_step=600, log_likelihood=rising)
    assert "the log likelihood of the rows it learned from was still rising, by 0.40 nats" in str(
        unfinished(fit)
    )
    held = History(steps=looks, best_step=600, heldout_score=rising)
    assert "the score of the rows held out was still rising, by 0.40 nats" in str(unfinished(held))
    assert unfinished(History(steps=looks, best_step=500, heldout_score=rising)) is None
    assert unfinished(History(steps=looks, best_step=600, heldout_score=rising, stopped_early=True)) is None
    assert "took 12 steps in all" in str(
        unfinished(History(steps=[8], start_steps=4, log_likelihood=[0.0] * 8))
    )
    assert unfinished(History(steps=[8], start_steps=40, log_likelihood=[0.0] * 8)) is None
