"""What a run's history says without any of the flow's code: whether the run waits, for what, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter

_ENDS = (
    "completed",
    "failed",
    "timed_out",
    "canceled",
)
_OF_THE_CODE = (
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR,
)


@dataclass(frozen=True)
class Timer:
    """A wait under way. `summary` is what an operator reads: `activated: until 3 days after welcome, or activated`."""

    event_id: int
    started: datetime
    due: datetime
    summary: str

    @property
    def step(self) -> str:
        """The step that waits."""
        return self.summary.partition(": ")[0]

    @property
    def event(self) -> str | None:
        """What the contact could do to end the wait before its time."""
        _, comma, event = self.summary.rpartition(", or ")
        return event if comma else None


class Standing:
    """Where a run stands at the end of its history."""

    def __init__(self, history: WorkflowHistory) -> None:
        self.closed = False
        self.held = False
        self.failed_task: str | None = None
        """The failure of the latest workflow task, until one succeeds."""
        self.activities: dict[int, str] = {}
        """Activities that were scheduled and have no answer: the step by the event's id."""
        self.timers: dict[int, Timer] = {}
        self.step: str | None = None
        """The latest step that left something in the history."""
        self._task_open = False
        self._signalled = False
        for event in history.events:
            self._take(event)

    @property
    def idle(self) -> bool:
        """Nothing happens until a timer is due or somebody does something."""
        return self.closed or not (self._task_open or self._signalled or self.activities)

    @property
    def wait(self) -> Timer | None:
        """The wait that ends first."""
        return min(self.timers.values(), key=lambda timer: timer.due, default=None)

    def _take(self, event: HistoryEvent) -> None:
        kind, attributes = kind_of(event), attributes_of(event)
        match kind:
            case "workflow_task_scheduled" | "workflow_task_started":
                self._task_open = True
            case "workflow_task_completed":
                self._task_open, self._signalled, self.failed_task = False, False, None
            case "workflow_task_failed":
                # Other causes are the server's own, such as a signal that came in between: it tries again.
                if attributes.cause in _OF_THE_CODE:
                    self.failed_task = attributes.failure.message
            case "workflow_execution_signaled" | "workflow_execution_cancel_requested":
                self._signalled = True
            case "activity_task_scheduled":
                self.activities[event.event_id] = self.step = attributes.activity_id
            case "timer_started":
                started = moment_of(event)
                due = started + attributes.start_to_fire_timeout.ToTimedelta()
                timer = Timer(event.event_id, started, due, summary_of(event))
                self.timers[event.event_id], self.step = timer, timer.step
            case "timer_fired" | "timer_canceled":
                self.timers.pop(attributes.started_event_id, None)
                self._signalled = self._signalled or kind == "timer_fired"
            case "workflow_execution_update_accepted":
                name = attributes.accepted_request.input.name
                self.held = name == "hold" or (self.held and name != "resume")
            case _ if kind.startswith("activity_task_") and kind.removeprefix("activity_task_") in _ENDS:
                self.activities.pop(attributes.scheduled_event_id, None)
                self._signalled = True
            case _ if kind.startswith("workflow_execution_") and kind != "workflow_execution_started":
                self.closed = self.closed or kind.removeprefix("workflow_execution_") in (
                    *_ENDS,
                    "terminated",
                    "continued_as_new",
                )


def kind_of(event: HistoryEvent) -> str:
    """Such as `timer_started`."""
    return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()


def attributes_of(event: HistoryEvent) -> Any:
    return getattr(event, str(event.WhichOneof("attributes")))


def moment_of(event: HistoryEvent) -> datetime:
    return event.event_time.ToDatetime(tzinfo=UTC)


def summary_of(event: HistoryEvent) -> str:
    """What an operator reads of an activity or timer; empty if nothing was said."""
    payload = event.user_metadata.summary
    return str(pydantic_data_converter.payload_converter.from_payload(payload)) if payload.data else ""
