"""What arrives together: each workflow task below carries a step's result and an exit at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.email import SendEmail
from activities.enrollments import EndEnrollment
from domain.flows import (
    EMAIL_TASK_QUEUE,
    Enrollment,
    Exit,
    Outcome,
    enrollment_workflow_id,
    flow_task_queue,
)
from domain.memory import Happening
from domain.messages import MessageStatus, SendResult
from store.tables import new_id
from tests.flows.specimens.board import Board
from tests.flows.specimens.nurturing import Nurturing
from tests.waiting import until
from workflows.discovery import workflow_runner
from workflows.onboarding import Onboarding

ended: dict[str, Outcome] = {}


@activity.defn(name="email.send")
async def send_nothing(order: SendEmail) -> SendResult:
    return SendResult(status=MessageStatus.SENT)


@activity.defn(name="enrollment.end")
async def note_the_end(order: EndEnrollment) -> None:
    ended[order.enrollment_id] = order.outcome


class Interleaved:
    """An enrollment whose two workers run only when the test says so."""

    def __init__(
        self, environment: WorkflowEnvironment, flow: str, handle: WorkflowHandle[Any, Outcome], enrollment_id: str
    ) -> None:
        self._environment = environment
        self._flow = flow
        self.handle = handle
        self.enrollment_id = enrollment_id

    def deciding(self) -> AbstractAsyncContextManager[object]:
        """Workflow tasks are worked on; nothing is cached, as on a worker that has just started."""
        return Worker(
            self._environment.client,
            task_queue=flow_task_queue(self._flow),
            workflows=[Onboarding, Nurturing, Board],
            activities=[note_the_end],
            workflow_runner=workflow_runner(),
            max_cached_workflows=0,
        )

    def sending(self) -> AbstractAsyncContextManager[object]:
        return Worker(self._environment.client, task_queue=EMAIL_TASK_QUEUE, activities=[send_nothing])

    async def reach(self, event: str) -> None:
        """Wait until the history holds such an event."""

        async def there() -> bool:
            history = await self.handle.fetch_history()
            return any(entry.HasField(f"{event}_event_attributes") for entry in history.events)  # type: ignore[arg-type]

        await until(there)

    async def happens(self, name: str) -> None:
        await self.handle.signal("event", Happening(id=new_id(), name=name))


@asynccontextmanager
async def interleaved(environment: WorkflowEnvironment, flow: str, **settings: Any) -> AsyncIterator[Interleaved]:
    enrollment = Enrollment(id=new_id(), settings=settings)
    handle = await environment.client.start_workflow(
        flow,
        enrollment,
        id=enrollment_workflow_id(flow, new_id()),
        task_queue=flow_task_queue(flow),
        result_type=Outcome,
        execution_timeout=timedelta(minutes=2),
    )
    yield Interleaved(environment, flow, handle, enrollment.id)


async def test_the_goal_together_with_the_receipt_of_a_send(temporal: WorkflowEnvironment) -> None:
    async with interleaved(temporal, "onboarding") as i:
        async with i.deciding():
            await i.reach("activity_task_scheduled")
        async with i.sending():
            await i.reach("activity_task_completed")
        await i.happens("activated")
        async with i.deciding():
            assert (await i.handle.result()).exit is Exit.GOAL
        assert ended[i.enrollment_id].exit is Exit.GOAL


async def test_a_cancellation_together_with_the_receipt_of_a_send(temporal: WorkflowEnvironment) -> None:
    async with interleaved(temporal, "onboarding") as i:
        async with i.deciding():
            await i.reach("activity_task_scheduled")
        async with i.sending():
            await i.reach("activity_task_completed")
        await i.handle.cancel()
        async with i.deciding():
            with pytest.raises(WorkflowFailureError) as failure:
                await i.handle.result()
        assert isinstance(failure.value.cause, CancelledError)
        assert ended[i.enrollment_id].exit is Exit.CANCELLED


async def test_a_cancellation_that_comes_with_the_goal_is_too_late(temporal: WorkflowEnvironment) -> None:
    async with interleaved(temporal, "onboarding") as i:
        async with i.deciding():
            await i.reach("activity_task_scheduled")
        async with i.sending():
            await i.reach("activity_task_completed")
        await i.happens("activated")
        await i.handle.cancel()
        async with i.deciding():
            assert (await i.handle.result()).exit is Exit.GOAL
        assert ended[i.enrollment_id].exit is Exit.GOAL


async def test_the_goal_of_a_held_enrollment_together_with_the_receipt_of_a_send(temporal: WorkflowEnvironment) -> None:
    async with interleaved(temporal, "onboarding") as i:
        async with i.deciding():
            await i.reach("activity_task_scheduled")
            await i.handle.execute_update("hold")
        async with i.sending():
            await i.reach("activity_task_completed")
        await i.happens("activated")
        async with i.deciding():
            assert (await i.handle.result()).exit is Exit.GOAL


async def test_an_exit_before_the_first_workflow_task_sends_nothing(temporal: WorkflowEnvironment) -> None:
    async with interleaved(temporal, "onboarding") as i:
        await i.happens("unsubscribed")
        async with i.deciding(), i.sending():
            assert (await i.handle.result()).exit is Exit.UNSUBSCRIBED
        history = await i.handle.fetch_history()
        assert not any(event.HasField("activity_task_scheduled_event_attributes") for event in history.events)


async def test_an_event_together_with_the_end_of_its_wait_takes_the_events_branch(
    temporal: WorkflowEnvironment,
) -> None:
    async with interleaved(temporal, "onboarding", hand_after="PT1S") as i:
        async with i.deciding(), i.sending():
            await i.reach("timer_started")
        await i.reach("timer_fired")
        await i.happens("activated")
        async with i.deciding(), i.sending():
            assert (await i.handle.result()).exit is Exit.GOAL
        history = await i.handle.fetch_history()
        sends = [event for event in history.events if event.HasField("activity_task_scheduled_event_attributes")]
        assert len(sends) == 1


async def test_an_event_that_arrives_while_the_message_goes_out_counts_for_the_wait_after_it(
    temporal: WorkflowEnvironment,
) -> None:
    async with interleaved(temporal, "nurturing") as i:
        async with i.deciding():
            await i.reach("activity_task_scheduled")
        await i.happens("clicked")
        async with i.deciding(), i.sending():

            async def second_send() -> bool:
                history = await i.handle.fetch_history()
                steps = [event.activity_task_scheduled_event_attributes.activity_id for event in history.events]
                return "case-study" in steps

            await until(second_send)
        await i.handle.terminate()
