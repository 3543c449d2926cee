"""An enrollment's memory, read back from the server's history of its run, without the code that the run was on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.update.v1 import Input
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter

from domain.flows import Enrollment
from domain.memory import Happening, Memory
from domain.questions import Answer
from domain.trail import Passed, read_activity_summary, read_timer_summary

T = TypeVar("T")


class Unreadable(Exception):
    """The history is not one of a flow, or of a version of Cauce whose histories told less."""


@dataclass
class Recollection:
    """What a run knew. `memory.unheard` holds also what it had not heard of yet, even an exit."""

    enrollment: Enrollment
    memory: Memory
    step: str | None = None
    """Where the contact stands: begun and, as far as the history tells, not finished."""
    under_way: bool = False
    """An activity does that step."""
    cancel_requested: bool = False


async def recall(
    history: WorkflowHistory, renamed: Mapping[str, str], converter: DataConverter = pydantic_data_converter
) -> Recollection:
    """Read the memory that the run would continue as new with. `renamed` are the code at hand's. Raises: Unreadable."""
    try:
        return await _Reader(renamed, converter).read(history)
    except (ValueError, KeyError, StopIteration) as error:
        raise Unreadable(f"history of {history.workflow_id}: {error}") from error


class _Reader:
    def __init__(self, renamed: Mapping[str, str], converter: DataConverter) -> None:
        self._renamed = renamed
        self._converter = converter
        self._task_began: dict[int, datetime] = {}
        """When each workflow task was started: the workflow's own clock in what it decided."""
        self._scheduled: dict[int, str] = {}
        """Steps of activities, by the event that scheduled them."""
        self._updates: dict[int, Input] = {}
        """What was accepted, by the event that says so."""
        self._now = datetime.min.replace(tzinfo=UTC)
        """The workflow's own clock in what is read now."""

    async def read(self, history: WorkflowHistory) -> Recollection:
        events = list(history.events)
        enrollment = await self._decoded(
            events[0].workflow_execution_started_event_attributes.input.payloads[0], Enrollment
        )
        self._read_clock(events)
        entered_at = next(iter(self._task_began.values()), _moment(events[0].event_time))
        memory = enrollment.memory or Memory(entered_at=entered_at, build=_first_build(events))
        found = Recollection(enrollment, memory.under({**enrollment.renamed, **self._renamed}))
        if enrollment.held and enrollment.memory is None:
            found.memory.hold(entered_at)
        for event in events:
            await self._take(event, found)
        return found

    def _read_clock(self, events: list[HistoryEvent]) -> None:
        started = {event.event_id: _moment(event.event_time) for event in events if _is(event, "WORKFLOW_TASK_STARTED")}
        for event in events:
            if _is(event, "WORKFLOW_TASK_COMPLETED"):
                task = event.workflow_task_completed_event_attributes.started_event_id
                self._task_began[event.event_id] = started[task]

    async def _take(self, event: HistoryEvent, found: Recollection) -> None:
        if _is(event, "WORKFLOW_EXECUTION_SIGNALED"):
            signal = event.workflow_execution_signaled_event_attributes
            if signal.signal_name == "event":
                _hear(await self._decoded(signal.input.payloads[0], Happening), found.memory)
        elif _is(event, "WORKFLOW_EXECUTION_CANCEL_REQUESTED"):
            found.cancel_requested = True
        elif _is(event, "WORKFLOW_TASK_COMPLETED"):
            self._now = self._task_began[event.event_id]
        elif _is(event, "TIMER_STARTED"):
            step, trail = read_timer_summary(await self._summary(event))
            self._begin(step, trail, found)
        elif _is(event, "ACTIVITY_TASK_SCHEDULED"):
            activity = event.activity_task_scheduled_event_attributes
            self._begin(activity.activity_id, read_activity_summary(await self._summary(event)), found)
            if activity.activity_type.name == "email.send":
                found.memory.unheard.clear()
            found.under_way = True
            self._scheduled[event.event_id] = activity.activity_id
        elif _is(event, "ACTIVITY_TASK_COMPLETED"):
            done = event.activity_task_completed_event_attributes
            step = self._scheduled.pop(done.scheduled_event_id)
            result = await self._decoded(done.result.payloads[0], dict[str, Any])
            _finish(step, {name: value for name, value in result.items() if value is not None}, found)
        elif _is(event, "WORKFLOW_EXECUTION_UPDATE_ACCEPTED"):
            accepted = event.workflow_execution_update_accepted_event_attributes
            self._updates[event.event_id] = accepted.accepted_request.input
        elif _is(event, "WORKFLOW_EXECUTION_UPDATE_COMPLETED"):
            completed = event.workflow_execution_update_completed_event_attributes
            if completed.outcome.HasField("success"):
                await self._update(self._updates.pop(completed.accepted_event_id), found.memory)

    async def _update(self, update: Input, memory: Memory) -> None:
        if update.name == "hold":
            memory.hold(self._now)
        elif update.name == "resume":
            memory.resume(self._now)
        elif update.name == "answer":
            answer = await self._decoded(update.args.payloads[0], Answer)
            if answer not in memory.answers:
                memory.answers.append(answer)

    async def _summary(self, event: HistoryEvent) -> str:
        return await self._decoded(event.user_metadata.summary, str)

    def _begin(self, step: str, trail: list[Passed], found: Recollection) -> None:
        for passed in trail:
            _pass_by(passed, found.memory)
        found.memory.begin(step, self._now)
        found.step, found.under_way = step, False

    async def _decoded(self, payload: Payload, kind: type[T]) -> T:
        (value,) = await self._converter.decode([payload], [kind])
        return value  # type: ignore[no-any-return]


def _first_build(events: list[HistoryEvent]) -> str | None:
    """Of the worker that began the run, if it was of a version."""
    tasks = (
        event.workflow_task_completed_event_attributes for event in events if _is(event, "WORKFLOW_TASK_COMPLETED")
    )
    return next((task.deployment_version.build_id or None for task in tasks), None)


def _hear(happening: Happening, memory: Memory) -> None:
    if happening.id not in memory.seen:
        memory.seen.append(happening.id)
        memory.unheard.append(happening)


def _pass_by(passed: Passed, memory: Memory) -> None:
    name = memory.name_of(passed.step)
    if name is not None and name not in memory.waiting:
        return
    if passed.skipped:
        memory.skipped.append(passed.step)
        return
    memory.begin(passed.step, memory.entered_at)
    memory.finish(passed.step, passed.answer)
    answered = next((happening for happening in memory.unheard if happening.name == passed.event), None)
    if answered is not None:
        memory.unheard.remove(answered)


def _finish(step: str, result: dict[str, Any], found: Recollection) -> None:
    found.memory.finish(step, result)
    found.step, found.under_way = None, False


def _is(event: HistoryEvent, kind: str) -> bool:
    return event.event_type == EventType.Value(f"EVENT_TYPE_{kind}")


def _moment(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)
