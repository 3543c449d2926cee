"""Exits and versions ranked, and a goal rate that says how sure it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.flows import Exit, Goal
from domain.reports import EnrollmentTally, exits, goal_rate, versions, wilson

GOAL = Goal(event="bought", target=0.2, within=timedelta(days=30))


@pytest.mark.parametrize(
    ("successes", "of", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilsons_interval_is_the_published_one(successes: int, of: int, low: float, high: float) -> None:
    assert wilson(successes, of) == pytest.approx((low, high), abs=5e-5)


def test_of_no_trials_nothing_is_known() -> None:
    assert wilson(0, 0) == (0, 1)


@given(st.integers(1, 10**7).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_interval_holds_the_share_and_mirrors(trials: tuple[int, int]) -> None:
    successes, of = trials
    low, high = wilson(successes, of)
    assert 0 <= low <= successes / of <= high <= 1
    assert wilson(of - successes, of) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@given(st.integers(0, 50), st.integers(1, 50))
def test_more_trials_of_the_same_share_narrow_the_interval(successes: int, failures: int) -> None:
    of = successes + failures
    low, high = wilson(successes, of)
    narrower_low, narrower_high = wilson(successes * 10, of * 10)
    assert narrower_high - narrower_low < high - low


@pytest.mark.parametrize(
    ("goals", "ended", "still_open", "verdict"),
    [
        (300, 1000, 0, "above the target"),
        (100, 1000, 0, "below the target"),
        (200, 1000, 0, "not yet told apart from the target"),
        (3, 10, 0, "not yet told apart from the target"),
        # Whoever is in the flow may reach the goal yet: nobody can say that it stays below.
        (100, 1000, 150, "not yet told apart from the target"),
        (100, 1000, 20, "below the target"),
        (300, 1000, 500, "above the target"),
        (0, 0, 0, "not yet told apart from the target"),
    ],
)
def test_a_goal_is_told_apart_from_its_target_only_where_the_interval_is(
    goals: int, ended: int, still_open: int, verdict: str
) -> None:
    rows = [
        EnrollmentTally(Exit.GOAL, "tip", None, goals, 0),
        EnrollmentTally(Exit.COMPLETED, "tip", None, ended - goals - still_open, 0),
        EnrollmentTally(None, None, None, still_open, still_open),
    ]
    rate = goal_rate(GOAL, rows, late=0)
    assert rate.verdict == verdict
    assert rate.rate == (goals / ended if ended else None)
    assert (rate.low, rate.high) == wilson(goals, ended)
    assert rate.high_with_open == wilson(goals + still_open, ended)[1]


def test_who_reaches_the_goal_after_its_time_is_counted_apart() -> None:
    rows = [EnrollmentTally(Exit.GOAL, "tip", None, 10, 0), EnrollmentTally(None, None, None, 90, 0)]
    rate = goal_rate(GOAL, rows, late=4)
    assert (rate.reached, rate.late, rate.rate, rate.open) == (6, 4, 0.06, 0)


def test_exits_and_versions_are_ranked() -> None:
    rows = [
        EnrollmentTally(Exit.GOAL, "tip", "b1", 2, 0),
        EnrollmentTally(Exit.GOAL, "welcome", "b2", 3, 0),
        EnrollmentTally(Exit.COMPLETED, "tip", "b1", 7, 0),
        EnrollmentTally(Exit.CANCELLED, None, None, 1, 0),
        EnrollmentTally(None, None, "b2", 20, 9),
    ]
    assert [(each.exit, each.count, each.steps) for each in exits(rows)] == [
        ("completed", 7, {"tip": 7}),
        ("goal", 5, {"welcome": 3, "tip": 2}),
        ("cancelled", 1, {}),
    ]
    assert [(each.version, each.enrolled, each.goal) for each in versions(rows)] == [
        ("b2", 23, 3),
        ("b1", 9, 2),
        (None, 1, 0),
    ]
