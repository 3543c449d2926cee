"""What verbs are made of: to begin a step, to have an activity do it, to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.types import MethodAsyncSingleParam
from temporalio.workflow import ActivityCancellationType

from activities.handover import HEARTBEAT_TIMEOUT
from domain.flows import EMAIL_TASK_QUEUE, RECORDS_TASK_QUEUE, Progress
from domain.memory import Happening, whole_of
from domain.trail import MAX_SUMMARY, activity_summary, minute, shortened
from workflows.enrolled import Enrolled, SettingsT

OrderT = TypeVar("OrderT", bound=BaseModel)
ResultT = TypeVar("ResultT", bound=BaseModel)

SENDING_TIMEOUT = timedelta(seconds=90)
RECORDS_TIMEOUT = timedelta(seconds=30)
RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=10))
"""Without an end: a provider or database that is away for a day delays a contact, it does not lose them."""


class Doing(Enrolled[SettingsT]):
    """A step is begun, done and finished here: nothing else schedules an activity or starts a timer for a journey."""

    async def _opens(self, step: str) -> bool:
        """Begin a step; False if it is remembered or passed by. While the enrollment is held it does not begin.

        Raises: CancelledError once the enrollment is leaving or continues as new. The journey may have missed its
        cancellation: an activity that is done when it arrives answers all the same.
        """
        if not self._steps.meet(step):
            return False
        await self._while_held()
        self._moving = self._moving or self._is_to_move()
        if self._is_leaving():
            raise asyncio.CancelledError
        self._steps.begin(step, workflow.now())
        self._now_at = Progress(step=whole_of(step))
        self._show(lambda: "working")
        return True

    async def _do(
        self,
        step: str,
        words: str,
        activity: MethodAsyncSingleParam[Any, OrderT, ResultT],
        order: OrderT,
        result_type: type[ResultT],
        queue: str = RECORDS_TASK_QUEUE,
    ) -> ResultT | None:
        """Have an activity do a step; answer its result, remembered or new. None if the step is passed by.

        `words` tell operators what is done. The result has to be an object without personal data.
        """
        if not await self._opens(step):
            return self._remembered(step, result_type)
        return await self._act(step, words, activity, order, queue)

    async def _act(
        self,
        step: str,
        words: str,
        activity: MethodAsyncSingleParam[Any, OrderT, ResultT],
        order: OrderT,
        queue: str = RECORDS_TASK_QUEUE,
    ) -> ResultT:
        """As `_do`, for a step that was begun: with this it is finished. Raises: as `_opens`."""
        if self._is_leaving():
            raise asyncio.CancelledError
        self._arrived = True
        result = await workflow.execute_activity_method(
            activity,
            order,
            activity_id=step,
            task_queue=queue,
            start_to_close_timeout=SENDING_TIMEOUT if queue == EMAIL_TASK_QUEUE else RECORDS_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT if queue == EMAIL_TASK_QUEUE else None,
            retry_policy=RETRIES,
            # An exit waits for what is under way right now, so that the outcome comes after it.
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=self._told(activity_summary(words, self._steps.trail)),
        )
        self._steps.finish(step, result.model_dump(mode="json", exclude_none=True))
        return result

    def _remembered(self, step: str, result_type: type[ResultT]) -> ResultT | None:
        """The result of a step that is not to be done; None if it was passed by, or was another verb's then."""
        remembered = self._steps.result(step)
        with suppress(ValueError):
            return result_type.model_validate(remembered) if isinstance(remembered, dict) else None
        return None

    async def _until(
        self,
        summary: str,
        deadline: Callable[[], datetime],
        condition: Callable[[], bool] = lambda: False,
        doing: Callable[[], str] | None = None,
    ) -> bool:
        """Wait until the condition holds or the deadline is there; answer whether the condition holds.

        A hold stops the wait; the deadline is asked for again after it. `doing` is what operators read meanwhile, if
        the summary does not say it.
        """
        waiting = doing or (lambda: f"waiting {summary.partition(': ')[2]}; goes on by {minute(deadline())}")
        while not condition() and (left := deadline() - workflow.now()) > timedelta(0):
            self._now_at.next_wake_at = deadline()
            self._show(waiting)
            with suppress(TimeoutError):
                await self._rest(lambda: condition() or self._is_held(), left, self._told(summary))
            await self._while_held()
        return condition()

    async def _while_held(self) -> None:
        if self._is_held():
            self._show(lambda: "held")
            await self._rest(lambda: not self._is_held() or self._is_leaving())

    async def _rest(
        self, condition: Callable[[], bool], at_most: timedelta | None = None, summary: str | None = None
    ) -> None:
        """Wait with nothing under way: the enrollment may move meanwhile."""
        self._at_rest = self._arrived = True
        self._show_state()
        try:
            await workflow.wait_condition(condition, timeout=at_most, timeout_summary=summary)
        finally:
            self._at_rest = False

    def _told(self, summary: str) -> str:
        """The summary of an activity or timer: with it, the trail stands in the history.

        Raises: CancelledError if the trail makes it too long: the run continues as new, with the trail in its input.
        """
        if not self._steps.trail:
            return shortened(summary)
        if len(summary.encode()) > MAX_SUMMARY:
            self._moving = True
            raise asyncio.CancelledError
        self._steps.trail.clear()
        return summary

    def _first(self, event: str) -> Happening | None:
        return next((happening for happening in self._memory.unheard if happening.name == event), None)
