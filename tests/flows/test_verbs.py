from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError

from domain.events import LEAVING_EVENTS
from domain.flows import Exit
from rehearsal.journey import JourneyStarter
from tests.flows.specimens.drip import Drip
from tests.flows.specimens.faulty import Faulty
from tests.flows.specimens.nurturing import Nurturing
from tests.flows.specimens.replies import Replies
from tests.waiting import until


async def test_an_event_four_seconds_into_a_wait_takes_its_branch_at_once(journey: JourneyStarter) -> None:
    async with journey(Nurturing) as j:
        await j.travel(seconds=4)
        assert j.inbox().steps == ["guide"]
        before = await j.environment.get_current_time()
        await j.happens("clicked")
        await until(lambda: j.inbox().steps == ["guide", "case-study"])
        assert await j.environment.get_current_time() - before < timedelta(minutes=1)


async def test_a_wait_for_an_event_ends_at_its_time(journey: JourneyStarter) -> None:
    async with journey(Nurturing) as j:
        await j.travel(days=3, hours=1)
        progress = await j.progress()
        assert progress.step == "pause-1"
        entered = (await j.description()).start_time
        assert progress.next_wake_at is not None
        assert abs(progress.next_wake_at - entered - timedelta(days=10)) < timedelta(minutes=1)


async def test_a_loop_whose_steps_carry_its_key_repeats_nothing(journey: JourneyStarter) -> None:
    async with journey(Nurturing) as j:
        assert (await j.outcome()).step == "two-months"
        assert j.inbox().steps == ["guide", "reminder-1", "reminder-2"]
        assert j.inbox().subjects == ["guide for Ada", "reminder for Ada", "reminder for Ada"]


async def test_each_arrival_of_an_event_answers_one_wait(journey: JourneyStarter) -> None:
    async with journey(Nurturing) as j:
        await j.travel(hours=1)
        await j.happens("clicked")
        await j.travel(hours=1)
        assert (await j.progress()).step == "clicked-case-study"
        await j.happens("clicked")
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.COMPLETED, "interested")


@pytest.mark.parametrize(("replies", "step"), [(1, "silent"), (2, "replied-twice")])
async def test_one_arrival_does_not_answer_the_next_wait_too(journey: JourneyStarter, replies: int, step: str) -> None:
    async with journey(Replies) as j:
        for _ in range(replies):
            await j.happens("replied")
        assert (await j.outcome()).step == step


async def test_an_event_that_is_delivered_twice_happened_once(journey: JourneyStarter) -> None:
    async with journey(Nurturing) as j:
        await j.travel(hours=1)
        await j.happens("clicked", event_id="click-1")
        await j.travel(hours=1)
        await j.happens("clicked", event_id="click-1")
        await j.travel(hours=1)
        assert (await j.progress()).step == "clicked-case-study"


async def test_an_event_that_the_flow_does_not_listen_for_is_not_told(journey: JourneyStarter) -> None:
    async with journey(Drip) as j:
        await j.happens("clicked")
        history = await j.handle.fetch_history()
        assert not [event for event in history.events if event.HasField("workflow_execution_signaled_event_attributes")]


@pytest.mark.parametrize(
    ("event", "exit_"),
    list(LEAVING_EVENTS.items()),
)
async def test_a_contact_who_leaves_gets_nothing_more_from_any_flow(
    journey: JourneyStarter, event: str, exit_: Exit
) -> None:
    async with journey(Nurturing) as j:
        await j.travel(days=11)
        await j.happens(event)
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (exit_, "pause-2")
        assert j.inbox().steps == ["guide", "reminder-1"]
        assert (await j.enrollment()).exit == exit_


async def test_a_cancelled_enrollment_ends_at_once_and_temporal_shows_it_as_cancelled(journey: JourneyStarter) -> None:
    async with journey(Nurturing) as j:
        await j.travel(days=1)
        await j.cancel()
        outcome = await j.outcome()
        assert (outcome.exit, outcome.step) == (Exit.CANCELLED, "clicked")
        with pytest.raises(WorkflowFailureError) as failure:
            await j.handle.result()
        assert isinstance(failure.value.cause, CancelledError)
        assert (await j.description()).status is WorkflowExecutionStatus.CANCELED
        ended = await j.enrollment()
        assert (ended.exit, ended.last_step) == ("cancelled", "clicked")
        assert j.inbox().steps == ["guide"]


async def test_a_step_that_comes_twice_fails_the_enrollment_with_its_name(journey: JourneyStarter) -> None:
    async with journey(Faulty, repeat_a_step=True) as j:
        assert (await j.outcome()).exit is Exit.FAILED
        with pytest.raises(WorkflowFailureError) as failure:
            await j.handle.result()
        assert isinstance(failure.value.cause, ApplicationError)
        assert failure.value.cause.type == "StepRepeated"
        assert "step pause comes twice" in str(failure.value.cause)
        ended = await j.enrollment()
        assert (ended.exit, ended.exit_reason) == ("failed", "StepRepeated")


async def test_waiting_for_an_event_that_never_comes_through_fails_the_enrollment(journey: JourneyStarter) -> None:
    async with journey(Faulty) as j:
        outcome = await j.outcome()
        assert (outcome.exit, outcome.reason) == (Exit.FAILED, "EventNotListened")
        assert (await j.enrollment()).exit_reason == "EventNotListened"


async def test_a_wait_until_a_past_moment_is_no_wait(journey: JourneyStarter) -> None:
    async with journey(Nurturing, pause=timedelta(days=40)) as j:
        assert (await j.outcome()).exit is Exit.COMPLETED
        description = await j.description()
        assert description.close_time is not None
        assert description.close_time - description.start_time < timedelta(days=84)


async def test_what_an_operator_reads_says_where_the_contact_is_and_what_comes_next(journey: JourneyStarter) -> None:
    async with journey(Nurturing) as j:
        await j.travel(days=4)
        metadata = await j.handle.query("__temporal_workflow_metadata")
        details = str(metadata)
        assert "**pause-1**: waiting until 7 days after clicked: no; goes on by " in details
        assert f"{datetime.now(UTC):%Y}" in details
        assert "- guide: sent" in details
        assert "- clicked: no" in details
