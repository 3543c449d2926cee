from __future__ import annotations

from datetime import UTC, datetime

import pytest
from temporalio.exceptions import ApplicationError

from domain.memory import Memory
from domain.trail import Passed
from workflows.steps import FAR, ScoutedSteps, Steps, TurnedBack

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def memory(*finished: str, waiting: str | None = None, skipped: tuple[str, ...] = ()) -> Memory:
    return Memory(
        entered_at=NOW,
        finished=dict.fromkeys(finished),
        waiting={waiting: NOW} if waiting else {},
        skipped=list(skipped),
    )


def scouted(known: Memory, *path: str) -> frozenset[str]:
    steps = ScoutedSteps(known)
    assert not any(steps.meet(step) for step in path)
    return steps.upstream


def test_what_comes_before_a_remembered_step_was_inserted_upstream() -> None:
    assert scouted(memory("a", "c"), "a", "b", "c", "d") == {"b"}


def test_what_comes_before_the_present_wait_was_inserted_upstream() -> None:
    assert scouted(memory("a", waiting="c"), "a", "b", "c", "d") == {"b"}


def test_steps_that_are_gone_from_the_code_hide_nothing() -> None:
    assert scouted(memory("a", "gone", waiting="gone-too"), "a", "b", "c") == frozenset()


def test_what_was_skipped_before_counts_as_remembered() -> None:
    assert scouted(memory("a", skipped=("c",)), "a", "b", "c", "d") == {"b"}


def test_a_scout_in_an_endless_loop_turns_back() -> None:
    steps = ScoutedSteps(memory("a", "gone"))
    for step in ("a", *(f"lap-{lap}" for lap in range(FAR))):
        steps.meet(step)
    with pytest.raises(TurnedBack):
        steps.meet("one-more-lap")
    assert steps.upstream == frozenset()


def test_an_inserted_step_is_passed_by_and_leaves_a_trail() -> None:
    steps = Steps(memory("a", waiting="c"), upstream={"b"})
    assert [steps.meet(step) for step in ("a", "b", "c", "d")] == [False, False, True, True]
    assert steps.memory.skipped == ["b"]
    assert steps.trail == [Passed("b", skipped=True)]


def test_a_step_comes_once() -> None:
    steps = Steps(memory())
    steps.meet("a")
    with pytest.raises(ApplicationError, match="step a comes twice"):
        steps.meet("a")
