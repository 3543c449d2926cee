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
from typing import Protocol

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import CanceledFailureInfo, Failure
from temporalio.bridge.proto.activity_result import ActivityResolution, Cancellation, Success
from temporalio.bridge.proto.workflow_activation import (
    CancelWorkflow,
    DoUpdate,
    FireTimer,
    ResolveActivity,
    SignalWorkflow,
    WorkflowActivationJob,
)
from temporalio.bridge.proto.workflow_commands import (
    ActivityCancellationType,
    ScheduleActivity,
    ScheduleLocalActivity,
    UpdateResponse,
    WorkflowCommand,
)

from activities.enrollments import EndEnrollment
from domain.flows import Enrollment, Outcome, Progress
from domain.memory import Happening, Memory
from domain.questions import Answer, Refusal
from rehearsal.calls import CONVERTER, Call, Returned
from rehearsal.instances import CannotRun, Instance
from workflows.discovery import FlowClass

SUGGEST_NEW_RUN_AFTER = 4096
"""Events of a history after which the server suggests to continue as new, unless told otherwise."""
_MOST_RUNS = 1000
_MOST_ACTIVITIES = 1000
_END = "enrollment.end"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WAITS_FOR_ITS_END = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
_ONLY_SHOWN = frozenset({"upsert_workflow_search_attributes", "modify_workflow_properties", "set_patch_marker"})
"""Commands that change nothing in how an enrollment goes on."""


class World(Protocol):
    """What is around one enrollment. It may tell the life what happens, now or later."""

    def answer(self, call: Call, life: Life) -> Returned:
        """Do what an activity does, all but `enrollment.end`. Raises: CannotRun if it does not know the activity."""


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
        self.handed_over_to: str | None = None
        """The flow that takes the contact over, since the goal was reached."""
        self.ended = False
        self._contact_id = enrollment.id
        self._input: Payload | None = _payload(enrollment)
        self._world = world
        self._suggest_after = suggest_new_run_after
        self._ns = _nanoseconds(begin)
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._told = 0
        self._asked_for = 0
        self._runs = 0
        self._run: Instance
        self._events = 0
        self._timers: dict[int, _Wait] = {}
        self._activities: dict[int, _UnderWay] = {}
        self._updates: dict[str, DoUpdate] = {}
        """Told, and not answered yet."""

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

    def answers(self, answer: Answer) -> None:
        """Somebody answers what the flow asks people, now. One that the flow refuses changes nothing."""
        self._update(DoUpdate(name="answer", input=[_payload(answer)]))

    def hold(self) -> None:
        """Hold the enrollment, now, as an operator may."""
        self._update(DoUpdate(name="hold"))

    def resume(self) -> None:
        self._update(DoUpdate(name="resume"))

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
        (progress,) = CONVERTER.from_payloads([self._run.query("progress", self._ns)], [Progress])
        return progress  # type: ignore[no-any-return]

    def memory(self) -> Memory:
        """What the flow remembers at the moment."""
        return self._run.memory()

    def under_way(self) -> str | None:
        """The step of an activity that is, or the part of one."""
        return next((activity.step for activity in self._activities.values()), None)

    def next_timer(self) -> tuple[str, datetime] | None:
        """The step, or the part of one, whose timer fires first, if any is set, and when."""
        first = min(self._timers.values(), key=lambda wait: wait.until, default=None)
        return None if first is None else (first.summary.partition(": ")[0], first.until)

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

    def _update(self, update: DoUpdate) -> None:
        self._told += 1
        update.id = update.protocol_instance_id = f"update-{self._told}"
        update.run_validator = True
        self._updates[update.id] = update
        # Its acceptance and its result are commands, and events of their own.
        self._activate(WorkflowActivationJob(do_update=update), events=0)

    def _learn(self, response: UpdateResponse) -> None:
        if response.HasField("accepted"):
            return
        update = self._updates.pop(response.protocol_instance_id)
        if response.rejected.application_failure_info.type == Refusal.MOVING:
            # The run goes on as another one: that one is told, as whoever brings an answer does it.
            self.at(self.now, lambda: self._update(update))

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
                case "update_response":
                    self._learn(command.update_response)
                case "complete_workflow_execution" | "fail_workflow_execution" | "cancel_workflow_execution":
                    self.ended = True
                case "continue_as_new_workflow_execution":
                    (self._input,) = command.continue_as_new_workflow_execution.arguments
                case kind if kind not in _ONLY_SHOWN:
                    raise CannotRun(f"it asks for {kind}, which a rehearsal does not know: see rehearsal/life.py")

    def _schedule(
        self, command: WorkflowCommand, order: ScheduleActivity | ScheduleLocalActivity, *, local: bool
    ) -> None:
        self._asked_for += 1
        if self._asked_for > _MOST_ACTIVITIES:
            raise CannotRun(
                f"it does {_MOST_ACTIVITIES} things and goes on: see that what it waits for comes to an end"
            )
        call = Call(
            activity=order.activity_type,
            step=order.activity_id,
            summary=_summary(command),
            at=self.now,
            arguments=tuple(order.arguments),
        )
        if order.activity_type == _END:
            end = call.argument(EndEnrollment)
            self.outcome, self.handed_over_to = end.outcome, end.hand_over_to
            returned = Returned(None)
        else:
            returned = self._world.answer(call, self)
        patient = order.cancellation_type == _WAITS_FOR_ITS_END
        activity = self._activities[order.seq] = _UnderWay(
            call.step, order.seq, _payload(returned.result), local, patient
        )
        self.at(self.now + returned.took, lambda: self._resolve(activity))

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
        self._timers[seq] = _Wait(_summary(command), until)
        self.at(until, lambda: self._fire(run, seq))

    def _fire(self, run: int, seq: int) -> None:
        if self._runs == run and self._timers.pop(seq, None) is not None:
            self._activate(WorkflowActivationJob(fire_timer=FireTimer(seq=seq)), events=1)


@dataclass(frozen=True)
class _Wait:
    """A timer. `summary` is what an operator reads of it, and begins with the step's name."""

    summary: str
    until: datetime


@dataclass
class _UnderWay:
    step: str
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
    (payload,) = CONVERTER.to_payloads([value])
    return payload


def _summary(command: WorkflowCommand) -> str:
    if not command.user_metadata.HasField("summary"):
        return ""
    (summary,) = CONVERTER.from_payloads([command.user_metadata.summary], [str])
    return str(summary)


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
