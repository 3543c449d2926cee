from __future__ import annotations

from datetime import UTC, datetime, timedelta

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


def scouted(known: Memory, *path: str) -> set[str]:
    """Which of these steps a journey passes by because they were inserted upstream."""
    scout = ScoutedSteps(known)
    assert not any(scout.meet(step) for step in path)
    before = list(known.skipped)
    steps = scout.found(known)
    for step in path:
        steps.meet(step)
    return set(known.skipped) - set(before)


def test_what_comes_before_a_remembered_step_was_inserted_upstream() -> None:
    assert scouted(memory("a", "c"), "a", "b", "c", "d") == {"b"}


def test_what_comes_before_the_present_wait_was_inserted_upstream() -> None:
    assert scouted(memory("a", waiting="c"), "a", "b", "c", "d") == {"b"}


def test_steps_that_are_gone_from_the_code_hide_nothing() -> None:
    assert scouted(memory("a", "gone", waiting="gone-too"), "a", "b", "c") == set()


def test_what_was_skipped_before_counts_as_remembered() -> None:
    assert scouted(memory("a", skipped=("c",)), "a", "b", "c", "d") == {"b"}


def test_a_scout_in_an_endless_loop_turns_back() -> None:
    steps = ScoutedSteps(memory("a", "gone"))
    for step in ("a", *(f"lap-{lap}" for lap in range(FAR))):
        steps.meet(step)
    with pytest.raises(TurnedBack):
        steps.meet("one-more-lap")
    assert steps.found(memory("a", "gone")).meet("lap-0"), "nothing after a is upstream"


def test_a_scout_turns_back_from_a_loop_without_a_key() -> None:
    steps = ScoutedSteps(memory("a"))
    steps.meet("a")
    with pytest.raises(TurnedBack):
        steps.meet("a")


def test_a_name_that_is_used_again_is_the_new_steps() -> None:
    known = memory(waiting="later")
    known.renamed = {"first": "later"}
    assert scouted(known, "first", "later") == {"first"}


def test_a_wait_that_is_gone_is_left_when_the_next_step_begins() -> None:
    known = memory("a", waiting="gone")
    steps = Steps(known)
    steps.begin("b", NOW)
    steps.finish("b", None)
    assert (known.left, known.waiting) == (["gone"], {})
    assert not Steps(known).meet("gone"), "older code passes it by"


@pytest.mark.parametrize("name", ["Tip", "tip_2", "tip 2", "tip-", "", "entering"])
def test_a_misnamed_step_is_refused(name: str) -> None:
    with pytest.raises(ApplicationError, match="name it by small letters"):
        Steps(memory()).meet(name)


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


def test_a_step_is_done_once_more_if_only_time_has_passed_since() -> None:
    known = memory("approve", "a-day", waiting="another-day")
    steps = Steps(known)
    assert not steps.meet("approve")
    assert steps.reopens("approve")
    later = NOW + timedelta(days=3)
    steps.begin("approve/other/stage-1", later)
    steps.finish("approve/other/stage-1", {"asked": []})
    steps.finish("approve", {"outcome": "approved"})
    assert steps.meet("another-day"), "they come back to where they were"
    steps.begin("another-day", later)
    assert steps.since("another-day") == NOW
    assert known.left == []


def test_a_step_that_had_its_effect_is_not_done_once_more() -> None:
    known = memory("approve", "a-day")
    known.finish("offer", {"status": "sent"})
    assert not Steps(known).reopens("approve")


def test_a_scout_does_no_step_once_more() -> None:
    assert not ScoutedSteps(memory("approve")).reopens("approve")


def test_who_is_at_a_part_of_a_step_is_at_the_step() -> None:
    known = memory("a")
    known.begin("ask/stage-1/remind", NOW)
    assert scouted(known, "a", "b", "ask", "c") == {"b"}
    known.finish("ask/stage-1/remind", {})
    assert list(known.waiting) == ["ask", "ask/stage-1"]
    known.finish("ask", {})
    assert known.waiting == {}


def test_a_renamed_step_goes_on_with_the_parts_that_it_had() -> None:
    later = NOW + timedelta(days=1)
    known = memory("a")
    known.begin("ask/stage-1/until-remind", NOW)
    renamed = known.under({"ask": "approve"})
    steps = Steps(renamed, named=["a", "approve"])
    steps.finish("approve/stage-1/until-remind", False)
    steps.begin("approve/stage-1/remind", later)
    assert renamed.left == []
    assert steps.known_as("approve") == "ask"
    assert steps.since("approve/stage-1") == NOW
    steps.finish("approve", {})
    assert renamed.waiting == {}
