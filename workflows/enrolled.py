"""The life of one enrollment: its journey beside a watch for exits, holds, moves to other code, and its end.

A flow is a Temporal workflow whose `journey` tells a story with verbs (`workflows.flow`). Each verb is a step, named by
its first argument; the name is the step's identity. A finished step is remembered with its result, so that when a run
continues as new, on the same code or on another version, the journey runs again from the top and comes, without
repeating anything, to where it was. A verb that does several things in turn has parts, `approve-offer/stage-1`, which
are remembered alike.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar, Generic, NoReturn, TypeVar, get_args

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.workflow import ContinueAsNewVersioningBehavior

from activities.enrollments import EndEnrollment, EnrollmentActivities
from domain.events import LEAVING_EVENTS
from domain.flows import (
    STATE_ATTRIBUTE,
    Enrollment,
    Exit,
    FlowSettings,
    FlowType,
    Outcome,
    Progress,
    State,
)
from domain.memory import Happening, Memory
from domain.questions import Answer, Question, Refusal, Taken
from workflows.details import current_details
from workflows.steps import ScoutedSteps, Steps

SettingsT = TypeVar("SettingsT", bound=FlowSettings)

RECORD_TIMEOUT = timedelta(seconds=10)
_STATE = SearchAttributeKey.for_keyword(STATE_ATTRIBUTE)


class Enrolled(ABC, Generic[SettingsT]):
    """What every flow is beneath its verbs."""

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
        memory = enrollment.memory or Memory(entered_at=workflow.now(), build=_build_at_hand())
        self._memory = memory.under(self.about.renamed)
        if enrollment.held and enrollment.memory is None:
            self._memory.hold(workflow.now())
        self._steps = Steps(self._memory)
        self._questions: dict[str, Question | None] = {}
        """Pending ones by id; None while people are only being asked."""
        self._now_at = Progress()
        self._doing: Callable[[], str] = lambda: "entering"
        self._state = State.WAITING
        self._at_rest = False
        self._arrived = False
        """In this run the journey has come to something that is not remembered: what it asks, it has asked."""
        self._move_asked = False
        self._moving = False
        # What a run that was replaced had not answered yet.
        self._exit = next((exit_ for event in self._memory.unheard if (exit_ := self._exit_after(event))), None)

    @abstractmethod
    async def journey(self) -> None:
        """What a contact lives through, told with the verbs of `Flow`."""

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

    @workflow.update(name="hold")
    def on_hold(self) -> Progress:
        """Begin no step, and let no wait count, until `resume`. Twice changes nothing. Exits go on as ever."""
        self._memory.hold(workflow.now())
        self._show_state()
        return self.progress()

    @workflow.update(name="resume")
    def on_resume(self) -> Progress:
        """Go on after a hold: each wait has as much left as it had then. Twice changes nothing."""
        self._memory.resume(workflow.now())
        self._show_state()
        return self.progress()

    @workflow.update(name="answer")
    async def on_answer(self, answer: Answer) -> Taken:
        """Somebody answers what the journey asks. An answer that was taken before is taken again, without effect.

        Raises: ApplicationError of a type of `Refusal`. The validator refuses what it can before it enters the history.
        """
        await workflow.wait_condition(lambda: self._is_asked(answer) or self._is_leaving())
        refusal = Refusal.MOVING if self._moving and self._exit is None else self._refusal(answer)
        if refusal is not None:
            raise _refused(refusal)
        question = self._questions.get(answer.question_id)
        if question is not None and answer not in self._memory.answers:
            question.take(answer)
            self._memory.answers.append(answer)
            self._refresh()
        return Taken(settled=question.settled if question else None)

    @on_answer.validator
    def _validate_answer(self, answer: Answer) -> None:
        if self._is_asked(answer) and (refusal := self._refusal(answer)) is not None:
            raise _refused(refusal)

    @workflow.query(name="progress")
    def progress(self) -> Progress:
        """Where the enrollment is, and until when it waits at the latest: while it is held, nobody knows."""
        now_at = self._now_at.model_copy(update={"skipped": self._memory.skipped, "held": self._is_held()})
        return now_at.model_copy(update={"next_wake_at": None}) if now_at.held else now_at

    def _exit_after(self, happening: Happening) -> Exit | None:
        is_goal = happening.name in self.about.goal.events(self._enrollment.settings)
        return LEAVING_EVENTS.get(happening.name, Exit.GOAL if is_goal else None)

    def _is_asked(self, answer: Answer) -> bool:
        """Whether the journey has come so far that its word on the answer is final."""
        return self._arrived and self._questions.get(answer.question_id, True) is not None

    def _refusal(self, answer: Answer) -> Refusal | None:
        if answer in self._memory.answers:
            return None
        question = self._questions.get(answer.question_id)
        if question is None or self._exit is not None:
            return Refusal.NOT_PENDING
        return question.refusal(answer, self._memory.clock(answer.given_at))

    def _is_held(self) -> bool:
        return self._memory.held_since is not None

    def _is_leaving(self) -> bool:
        return self._exit is not None or self._moving

    # -- The life of an enrollment --------------------------------------------------------------------------------

    async def conduct(self) -> Outcome:
        """Go through the journey until it ends or an exit interrupts it, and record how it ended.

        Raises: CancelledError after a cancellation and the activity's failure after a failed step, both recorded, so
        that the Temporal Web UI shows these runs as what they are.
        """
        if self._enrollment.memory is not None:
            self._steps = self._scout().found(self._memory)
        journey = asyncio.create_task(self.journey())
        try:
            await workflow.wait_condition(lambda: journey.done() or self._exit is not None or self._to_move_now())
        except asyncio.CancelledError:
            self._exit = Exit.CANCELLED
        return await _uninterrupted(self._end(journey))

    async def _end(self, journey: asyncio.Task[None]) -> Outcome:
        self._arrived = True
        journey.cancel()
        await workflow.wait([journey])
        failure = None if journey.cancelled() else journey.exception()
        if failure is not None and not isinstance(failure, FailureError | Finished):
            raise failure  # a bug: the workflow task is retried until a deploy mends it, and nobody is lost
        if self._exit is None and self._moving:
            await workflow.wait_condition(workflow.all_handlers_finished)
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
        self._show(lambda: f"ended: {outcome.exit}")
        hand_over_to = self.about.goal.hand_over_to if outcome.exit is Exit.GOAL else None
        # Local: one event in the history instead of six. Without an end, like every step.
        await workflow.execute_local_activity_method(
            EnrollmentActivities.end,
            EndEnrollment(
                enrollment_id=self._enrollment.id,
                outcome=outcome,
                hand_over_to=hand_over_to,
                build=self._memory.build,
            ),
            start_to_close_timeout=RECORD_TIMEOUT,
            retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1)),
            summary=outcome.exit,
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

    def _scout(self) -> ScoutedSteps:
        """Let a twin go through the journey, past every step, to see what lies where."""
        twin = type(self)(self._enrollment.model_copy(update={"memory": self._memory}))
        twin._steps = steps = ScoutedSteps(twin._memory)
        journey = twin.journey()
        # However it ends: at its end, at what it should not await, or where made-up answers lead it astray.
        with suppress(Exception):
            journey.send(None)
        journey.close()
        return steps

    # -- What operators see ---------------------------------------------------------------------------------------

    def _show(self, doing: Callable[[], str]) -> None:
        self._doing = doing
        self._refresh()

    def _refresh(self) -> None:
        step = self._now_at.step
        following = self._scout().after(step) if step and not self._is_leaving() else None
        workflow.set_current_details(current_details(step, self._doing(), self._memory, following))

    def _show_state(self) -> None:
        """Let operators find the enrollment by what it waits for. An upsert is billed: only a change makes one."""
        shown = State.HELD if self._is_held() else self._state
        if workflow.info().typed_search_attributes.get(_STATE, State.WAITING) != shown:
            workflow.upsert_search_attributes([_STATE.value_set(shown)])


def _build_at_hand() -> str | None:
    """None on a server that knows no versions."""
    version = workflow.info().get_current_deployment_version()
    return version.build_id if version is not None and version.deployment_name else None


class Finished(Exception):
    """The journey said that it ends here."""


async def _uninterrupted(ending: Coroutine[Any, Any, Outcome]) -> Outcome:
    """A cancellation that comes while an enrollment ends is too late to change how it ends."""
    task = asyncio.create_task(ending)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        return await task


def _refused(refusal: Refusal) -> ApplicationError:
    return ApplicationError("the answer does not count", type=refusal, non_retryable=True)


def _type_of(failure: BaseException | None) -> str | None:
    """What failed a journey, as a name that is stable and tells nothing personal."""
    if isinstance(failure, ActivityError) and failure.cause is not None:
        failure = failure.cause
    return failure.type if isinstance(failure, ApplicationError) else None
