"""The verbs that a flow is written in, and what every enrollment does beside its journey.

A flow is a Temporal workflow whose `journey` tells a story with these verbs. Each verb is a step, named by its first
argument; the name is the step's identity. A finished step is remembered with its result, so that when a run continues
as new, on the same code or on another version, the journey runs again from the top and comes, without repeating
anything, to where it was.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, NoReturn, TypeVar, get_args

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.workflow import ActivityCancellationType, ContinueAsNewVersioningBehavior

from activities.email import HEARTBEAT_TIMEOUT, EmailActivities, SendEmail
from activities.enrollments import EndEnrollment, EnrollmentActivities
from domain.events import LEAVING_EVENTS, concerns
from domain.flows import EMAIL_TASK_QUEUE, Enrollment, Exit, FlowSettings, FlowType, Outcome, Progress
from domain.memory import Happening, Memory
from domain.messages import MessageStatus, SendResult
from domain.trail import MAX_SUMMARY, Passed, email_summary, minute, moment_summary, wait_summary
from workflows.details import current_details
from workflows.steps import ScoutedSteps, Steps

SettingsT = TypeVar("SettingsT", bound=FlowSettings)

SEND_TIMEOUT = timedelta(seconds=90)
SEND_RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=10))
"""Without an end: a provider or database that is away for a day delays a contact, it does not lose them."""
RECORD_TIMEOUT = timedelta(seconds=10)
SKIPPED = SendResult(status=MessageStatus.SKIPPED, reason="inserted where the contact had passed")


class Flow(ABC, Generic[SettingsT]):
    """Base of all flows. A flow sets `about`, tells its `journey`, and its `run` is `return await self.conduct()`."""

    about: ClassVar[FlowType]
    settings_model: ClassVar[type[FlowSettings]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if settings := get_args(cls.__orig_bases__[0]):  # type: ignore[attr-defined]
            (cls.settings_model,) = settings

    @workflow.init
    def __init__(self, enrollment: Enrollment) -> None:
        self.settings: SettingsT = self.settings_model.of(enrollment.settings)  # type: ignore[assignment]
        self._enrollment = enrollment
        memory = enrollment.memory or Memory(entered_at=workflow.now())
        self._memory = memory.under(self.about.renamed)
        self._steps = Steps(self._memory)
        self._now_at = Progress()
        self._at_rest = False
        self._move_asked = False
        self._moving = False
        # What a run that was replaced had not answered yet.
        self._exit = next((exit_ for event in self._memory.unheard if (exit_ := self._exit_after(event))), None)

    @abstractmethod
    async def journey(self) -> None:
        """What a contact lives through, told with the verbs below."""

    # -- Verbs ---------------------------------------------------------------------------------------------------

    @property
    def entered_at(self) -> datetime:
        """When the contact entered this flow."""
        return self._memory.entered_at

    async def send(self, step: str, message: str | None = None) -> SendResult:
        """Send the email `emails/<flow>/<message>`, which is called like the step unless `message` says otherwise."""
        if not self._open(step):
            remembered = self._steps.result(step)
            # Not of a send: the step was another verb's when the contact went through it.
            return SendResult.model_validate(remembered) if isinstance(remembered, dict) else SKIPPED
        message = message or step
        # What came before this message is no answer to it.
        self._memory.unheard.clear()
        result = await workflow.execute_activity_method(
            EmailActivities.send,
            SendEmail(
                enrollment_id=self._enrollment.id,
                step=step,
                message=message,
                aliases=self._steps.aliases(step),
            ),
            activity_id=step,
            task_queue=EMAIL_TASK_QUEUE,
            start_to_close_timeout=SEND_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=SEND_RETRIES,
            # An exit waits for a message that is with the provider right now, so that the outcome comes after it.
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=self._told(email_summary(message, self._steps.trail)),
        )
        self._steps.finish(step, result.model_dump(mode="json", exclude_none=True))
        return result

    async def wait(self, step: str, duration: timedelta) -> None:
        """Let time pass. After a change of the duration, what was waited already counts."""
        if self._open(step):
            summary = wait_summary(step, duration, self._steps.trail, self._steps.latest())
            await self._until(self._steps.since(step) + duration, summary)
            self._steps.leave(Passed(step))

    async def wait_until(self, step: str, moment: datetime) -> None:
        """Let time pass until a moment; one that is past is no wait."""
        if self._open(step):
            await self._until(moment, moment_summary(step, moment, self._steps.trail))
            self._steps.leave(Passed(step))

    async def happened(self, step: str, *, within: timedelta, event: str | None = None) -> bool:
        """Wait for an event, called like the step unless `event` says otherwise; answer whether it came in time.

        What arrived since the latest message went out counts too, and each arrival answers one wait only.
        """
        event = event or step
        if not concerns(self.about, event):
            raise ApplicationError(
                f"step {step} waits for {event}, which this flow is never told of: add it to FlowType.listens",
                type="EventNotListened",
                non_retryable=True,
            )
        if not self._open(step):
            return self._steps.result(step) is True
        summary = wait_summary(step, within, self._steps.trail, self._steps.latest(), event)
        came = await self._until(self._steps.since(step) + within, summary, lambda: self._first(event) is not None)
        if (happening := self._first(event)) is not None:
            self._memory.unheard.remove(happening)
        self._steps.leave(Passed(step, came, event if came else None))
        return came

    def finish(self, step: str) -> NoReturn:
        """End the journey here, as completed."""
        self._now_at = Progress(step=step)
        raise _Finished

    # -- What happens to an enrollment from outside ---------------------------------------------------------------

    @workflow.signal(name="event")
    def on_event(self, happening: Happening) -> None:
        """Something happened to the contact. A second delivery of the same event does nothing."""
        if happening.id in self._memory.seen:
            return
        self._memory.seen.append(happening.id)
        if (exit_ := self._exit_after(happening)) is not None:
            self._exit = self._exit or exit_
        else:
            # Even what this code does not wait for: the code that the contact moves to may.
            self._memory.unheard.append(happening)

    @workflow.signal(name="move")
    def on_move(self, renamed: dict[str, str]) -> None:
        """Go on with the version that is the target now, once the contact is at rest. Nothing, if this is the one.

        `renamed` is that version's: whatever code comes later knows the steps by all their names.
        """
        self._memory.renamed.update(renamed)
        self._move_asked = True

    @workflow.query(name="progress")
    def progress(self) -> Progress:
        """Where the enrollment is, and until when it waits at the latest."""
        return self._now_at.model_copy(update={"skipped": self._memory.skipped})

    def _exit_after(self, happening: Happening) -> Exit | None:
        return Exit.GOAL if happening.name == self.about.goal.event else LEAVING_EVENTS.get(happening.name)

    # -- The life of an enrollment --------------------------------------------------------------------------------

    async def conduct(self) -> Outcome:
        """Go through the journey until it ends or an exit interrupts it, and record how it ended.

        Raises: CancelledError after a cancellation and the activity's failure after a failed step, both recorded, so
        that the Temporal Web UI shows these runs as what they are.
        """
        if self._enrollment.memory is not None:
            self._steps = self._scouted()
        journey = asyncio.create_task(self.journey())
        try:
            await workflow.wait_condition(lambda: journey.done() or self._exit is not None or self._to_move_now())
        except asyncio.CancelledError:
            self._exit = Exit.CANCELLED
        return await _uninterrupted(self._end(journey))

    async def _end(self, journey: asyncio.Task[None]) -> Outcome:
        journey.cancel()
        await workflow.wait([journey])
        failure = None if journey.cancelled() else journey.exception()
        if failure is not None and not isinstance(failure, FailureError | _Finished):
            raise failure  # a bug: the workflow task is retried until a deploy mends it, and nobody is lost
        if self._exit is None and self._moving:
            self._continue_as_new()
        if self._exit is None:
            self._exit = Exit.FAILED if isinstance(failure, FailureError) else Exit.COMPLETED
        outcome = Outcome(
            exit=self._exit, step=self._now_at.step, reason=_type_of(failure), skipped=self._memory.skipped
        )
        await self._record(outcome)
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._exit is Exit.CANCELLED:
            raise asyncio.CancelledError
        if self._exit is Exit.FAILED and failure is not None:
            raise failure
        return outcome

    async def _record(self, outcome: Outcome) -> None:
        self._now_at = Progress(step=outcome.step)
        self._show(f"ended: {outcome.exit}")
        # Local: one event in the history instead of six. Without an end, like every step.
        await workflow.execute_local_activity_method(
            EnrollmentActivities.end,
            EndEnrollment(enrollment_id=self._enrollment.id, outcome=outcome),
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1)),
            summary=f"ended: {outcome.exit}",
        )

    # -- Moving to a new run --------------------------------------------------------------------------------------

    def _is_to_move(self) -> bool:
        return workflow.info().is_continue_as_new_suggested() or self._upgrades()

    def _upgrades(self) -> bool:
        return self._move_asked and workflow.info().is_target_worker_deployment_version_changed()

    def _to_move_now(self) -> bool:
        """At rest nothing is under way; a message that is goes out first."""
        self._moving = self._moving or (self._at_rest and self._is_to_move())
        return self._moving

    def _continue_as_new(self) -> NoReturn:
        workflow.continue_as_new(
            self._enrollment.model_copy(update={"memory": self._memory}),
            initial_versioning_behavior=(ContinueAsNewVersioningBehavior.AUTO_UPGRADE if self._upgrades() else None),
        )

    def _scouted(self) -> Steps:
        """Steps that know which were inserted upstream of where the contact stands: a twin goes ahead to see."""
        twin = type(self)(self._enrollment)
        twin._steps = steps = ScoutedSteps(twin._memory)
        journey = twin.journey()
        # However it ends: at its end, at what it should not await, or where made-up answers lead it astray.
        with suppress(Exception):
            journey.send(None)
        journey.close()
        return steps.found(self._memory)

    # -- Steps ----------------------------------------------------------------------------------------------------

    def _open(self, step: str) -> bool:
        """Begin a step; False if it is remembered or passed by.

        Raises: CancelledError once the enrollment is leaving or continues as new. The journey may have missed its
        cancellation: an activity that is done when it arrives answers all the same.
        """
        if not self._steps.meet(step):
            return False
        self._moving = self._is_to_move()
        if self._moving or self._exit is not None:
            raise asyncio.CancelledError
        self._steps.begin(step, workflow.now())
        self._now_at = Progress(step=step)
        self._show("working")
        return True

    def _told(self, summary: str) -> str:
        """The summary of an activity or timer: with it, the trail stands in the history.

        Raises: CancelledError if it is too long. The run continues as new: then the trail stands in its input.
        """
        if len(summary.encode()) > MAX_SUMMARY:
            self._moving = True
            raise asyncio.CancelledError
        self._steps.trail.clear()
        return summary

    async def _until(self, deadline: datetime, summary: str, condition: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the condition holds or the deadline is there; answer whether the condition holds."""
        left = deadline - workflow.now()
        if condition() or left <= timedelta(0):
            return condition()
        self._now_at.next_wake_at = deadline
        self._show(f"waiting {summary.removeprefix(f'{self._now_at.step}: ')}; goes on by {minute(deadline)}")
        self._at_rest = True
        try:
            await workflow.wait_condition(condition, timeout=left, timeout_summary=self._told(summary))
        except TimeoutError:
            return condition()
        finally:
            self._at_rest = False
        return True

    def _first(self, event: str) -> Happening | None:
        return next((happening for happening in self._memory.unheard if happening.name == event), None)

    def _show(self, state: str) -> None:
        workflow.set_current_details(current_details(self._now_at.step, state, self._memory))


class _Finished(Exception):
    """The journey said that it ends here."""


async def _uninterrupted(ending: Coroutine[Any, Any, Outcome]) -> Outcome:
    """A cancellation that comes while an enrollment ends is too late to change how it ends."""
    task = asyncio.create_task(ending)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task


def _type_of(failure: BaseException | None) -> str | None:
    """What failed a journey, as a name that is stable and tells nothing personal."""
    if isinstance(failure, ActivityError) and failure.cause is not None:
        failure = failure.cause
    return failure.type if isinstance(failure, ApplicationError) else None
