"""One enrollment's life through the real flow code in this process, on a virtual clock, without a Temporal server.

What the flow asks for (activities) is answered by a `World`, which also says what happens to the contact, and when.
Nothing here reads a clock, draws at random or runs beside anything else: the same enrollment in the same world lives
the same life, to the last bit.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import CanceledFailureInfo, Failure
from temporalio.bridge.proto.activity_result import ActivityResolution, Cancellation, Success
from temporalio.bridge.proto.workflow_activation import (
    CancelWorkflow,
    FireTimer,
    ResolveActivity,
    SignalWorkflow,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import (
    ActivityCancellationType,
    ScheduleActivity,
    ScheduleLocalActivity,
    WorkflowCommand,
)
from temporalio.contrib.pydantic import pydantic_data_converter

from activities.enrollments import EndEnrollment
from domain.flows import Enrollment, Outcome, Progress
from domain.memory import Happening, Memory
from rehearsal.instances import CannotRun, Instance
from workflows.discovery import FlowClass

T = TypeVar("T")

SUGGEST_NEW_RUN_AFTER = 4096
"""Events of a history after which the server suggests to continue as new, unless told otherwise."""
_MOST_RUNS = 1000
_END = "enrollment.end"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONVERTER = pydantic_data_converter.payload_converter
_WAITS_FOR_ITS_END = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
_ONLY_SHOWN = frozenset({"upsert_workflow_search_attributes", "modify_workflow_properties", "set_patch_marker"})
"""Commands that change nothing in how an enrollment goes on."""


@dataclass(frozen=True)
class Call:
    """An activity that a flow asks for. `step` is its activity id, `summary` what an operator reads of it."""

    activity: str
    step: str
    summary: str
    at: datetime
    arguments: tuple[Payload, ...]

    def argument(self, kind: type[T]) -> T:
        """The only argument."""
        (value,) = _CONVERTER.from_payloads(self.arguments, [kind])
        return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Answer:
    """What an activity returns, and the virtual time that it took."""

    result: Any
    took: timedelta = timedelta(0)


@dataclass(frozen=True)
class Wait:
    """A timer that a flow begins. `summary` is what an operator reads of it, and begins with the step's name."""

    summary: str
    at: datetime
    until: datetime


class World(Protocol):
    """What is around one enrollment. It may tell the life what happens, now or later."""

    def answer(self, call: Call, life: Life) -> Answer:
        """Do what an activity does, all but `enrollment.end`. Raises: CannotRun if it does not know the activity."""

    def waits(self, wait: Wait, life: Life) -> None:
        """The flow begins to wait."""


class Life:
    """One enrollment under way: its present run, and what is due."""

    def __init__(
        self,
        flow: FlowClass,
        enrollment: Enrollment,
        world: World,
        begin: datetime,
        suggest_new_run_after: int = SUGGEST_NEW_RUN_AFTER,
    ) -> None:
        self.flow = flow
        self.outcome: Outcome | None = None
        self.ended = False
        self._contact_id = enrollment.contact_id
        self._input: Payload | None = _payload(enrollment)
        self._world = world
        self._suggest_after = suggest_new_run_after
        self._ns = _nanoseconds(begin)
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._told = 0
        self._runs = 0
        self._run: Instance
        self._events = 0
        self._timers: dict[int, datetime] = {}
        self._activities: dict[int, _UnderWay] = {}

    # -- What the world may tell -----------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self._ns // 1000)

    def at(self, moment: datetime, what: Callable[[], None]) -> None:
        """Let something be done at a moment, if the enrollment has not ended by then. In order, if at the same one."""
        self._told += 1
        heapq.heappush(self._due, (max(_nanoseconds(moment), self._ns), self._told, what))

    def hears(self, happening: Happening) -> None:
        """Signal an event to the flow, now."""
        signal = SignalWorkflow(signal_name="event", input=[_payload(happening)], originating_event_id=self._events + 1)
        self._activate(WorkflowActivationJob(signal_workflow=signal), events=1)

    def cancel(self) -> None:
        """Cancel the enrollment, now, as an operator may."""
        self._activate(WorkflowActivationJob(cancel_workflow=CancelWorkflow(reason="")), events=1)

    # -- Going on --------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Begin the next run, or do what is due next; False if there is nothing."""
        if self._input is not None:
            self._begin(self._input)
        elif self._due and not self.ended:
            self._ns, _, what = heapq.heappop(self._due)
            what()
        else:
            return False
        return True

    def settled(self) -> bool:
        """Whether the workflow task under way is over: local activities belong to it, and so does a new run."""
        return self._input is None and not any(activity.local for activity in self._activities.values())

    def progress(self) -> Progress:
        """What the flow answers when it is asked where the enrollment is."""
        (progress,) = _CONVERTER.from_payloads([self._run.query("progress", self._ns)], [Progress])
        return progress  # type: ignore[no-any-return]

    def memory(self) -> Memory:
        """What the flow remembers at the moment."""
        return self._run.memory()

    def under_way(self) -> bool:
        """Whether an activity is."""
        return bool(self._activities)

    def next_timer(self) -> datetime | None:
        """When the first timer fires, if any is set."""
        return min(self._timers.values(), default=None)

    def close(self) -> None:
        """Let go of the run."""
        if self._runs:
            self._run.close(self._ns)

    def _begin(self, argument: Payload) -> None:
        self.close()
        if self._runs == _MOST_RUNS:
            raise CannotRun(f"it continued as new {_MOST_RUNS} times: see that its journey gets on in each run")
        self._input = None
        self._timers.clear()
        self._activities.clear()
        self._events = 2
        self._run = Instance(self.flow, self._contact_id, self._runs + 1, self.now)
        self._runs += 1
        self._obey(self._run.begin(argument, self._ns))

    def _activate(self, job: WorkflowActivationJob, events: int) -> None:
        if self.ended:
            return
        if self._input is not None:
            self._begin(self._input)
        self._events += events + 2
        suggested = self._events >= self._suggest_after
        self._obey(self._run.activate(job, self._ns, self._events, suggest_new_run=suggested))

    def _obey(self, commands: Sequence[WorkflowCommand]) -> None:
        """Do what the flow asks for. A verb that asks for something new gets its case here."""
        for command in commands:
            self._events += 1
            match command.WhichOneof("variant"):
                case "schedule_activity":
                    self._schedule(command, command.schedule_activity, local=False)
                case "schedule_local_activity":
                    self._schedule(command, command.schedule_local_activity, local=True)
                case "request_cancel_activity":
                    self._withdraw(command.request_cancel_activity.seq)
                case "request_cancel_local_activity":
                    self._withdraw(command.request_cancel_local_activity.seq)
                case "start_timer":
                    self._start_timer(command)
                case "cancel_timer":
                    self._timers.pop(command.cancel_timer.seq)
                case "complete_workflow_execution" | "fail_workflow_execution" | "cancel_workflow_execution":
                    self.ended = True
                case "continue_as_new_workflow_execution":
                    (self._input,) = command.continue_as_new_workflow_execution.arguments
                case kind if kind not in _ONLY_SHOWN:
                    raise CannotRun(f"it asks for {kind}, which a rehearsal does not know: see rehearsal/life.py")

    def _schedule(
        self, command: WorkflowCommand, order: ScheduleActivity | ScheduleLocalActivity, *, local: bool
    ) -> None:
        call = Call(
            activity=order.activity_type,
            step=order.activity_id,
            summary=_summary(command),
            at=self.now,
            arguments=tuple(order.arguments),
        )
        if order.activity_type == _END:
            self.outcome = call.argument(EndEnrollment).outcome
            answer = Answer(None)
        else:
            answer = self._world.answer(call, self)
        patient = order.cancellation_type == _WAITS_FOR_ITS_END
        activity = self._activities[order.seq] = _UnderWay(order.seq, _payload(answer.result), local, patient)
        self.at(self.now + answer.took, lambda: self._resolve(activity))

    def _withdraw(self, seq: int) -> None:
        """Cancel an activity. One that the flow waits for is brought to its end first, like an email that is going."""
        activity = self._activities.get(seq)
        if activity is None:
            return
        activity.withdrawn = True
        if not activity.patient:
            self.at(self.now, lambda: self._resolve(activity))

    def _resolve(self, activity: _UnderWay) -> None:
        if self._activities.get(activity.seq) is not activity:
            return
        del self._activities[activity.seq]
        resolved = ResolveActivity(seq=activity.seq, result=activity.resolution(), is_local=activity.local)
        # A local activity is a marker in the history, within its workflow task.
        self._activate(WorkflowActivationJob(resolve_activity=resolved), events=-2 if activity.local else 2)

    def _start_timer(self, command: WorkflowCommand) -> None:
        # The SDK counts in floating seconds: their error is far below a microsecond.
        microseconds = round(command.start_timer.start_to_fire_timeout.ToNanoseconds() / 1000)
        run, seq, until = self._runs, command.start_timer.seq, self.now + timedelta(microseconds=microseconds)
        self._timers[seq] = until
        self.at(until, lambda: self._fire(run, seq))
        self._world.waits(Wait(_summary(command), self.now, until), self)

    def _fire(self, run: int, seq: int) -> None:
        if self._runs == run and self._timers.pop(seq, None) is not None:
            self._activate(WorkflowActivationJob(fire_timer=FireTimer(seq=seq)), events=1)


@dataclass
class _UnderWay:
    seq: int
    result: Payload
    local: bool
    patient: bool
    withdrawn: bool = False

    def resolution(self) -> ActivityResolution:
        if self.withdrawn:
            failure = Failure(message="Activity cancelled", canceled_failure_info=CanceledFailureInfo())
            return ActivityResolution(cancelled=Cancellation(failure=failure))
        return ActivityResolution(completed=Success(result=self.result))


def _payload(value: object) -> Payload:
    (payload,) = _CONVERTER.to_payloads([value])
    return payload


def _summary(command: WorkflowCommand) -> str:
    if not command.user_metadata.HasField("summary"):
        return ""
    (summary,) = _CONVERTER.from_payloads([command.user_metadata.summary], [str])
    return str(summary)


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
