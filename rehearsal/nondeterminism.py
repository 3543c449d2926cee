"""Says in a flow's words what the SDK says of a replay that failed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

from domain.flows import STATE_ATTRIBUTE
from rehearsal.standing import attributes_of, kind_of, summary_of

_MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
_PLACE = re.compile(r'File \\*"([^"\\]+)\\*", line (\d+)')
_DOES: dict[str, str] = {
    "Activity": "does the work of a step",
    "CancelWorkflow": "ends as cancelled",
    "CompleteWorkflow": "ends the enrollment",
    "ContinueAsNewWorkflow": "begins a new run",
    "FailWorkflow": "fails the enrollment",
    "LocalActivity": "records that the enrollment ended",
    "Timer": "waits",
    "Update": "answers somebody",
    "UpsertSearchAttributes": "shows what the enrollment waits for",
}
"""By the SDK's machine, which is what the code at hand commands."""


def in_words(failure: Exception, history: WorkflowHistory) -> str:
    """`where the history waits in activated (event 11), the code does the work of a step`."""
    said = str(failure)
    found = _MESSAGE.search(said)
    message = (found[1] if found else said).replace('\\"', '"').removeprefix("[TMPRL1100] Nondeterminism error: ")
    for pattern, tell in _TOLD:
        if match := pattern.search(message):
            return tell(match, history)
    if "Nondeterminism" in said:
        return f"the history and the code differ: {message}"
    return f"the code raises {message}{_raised_at(said)}"


def _ids(match: re.Match[str], history: WorkflowHistory) -> str:
    return f"where the history does step {match[1]}, the code does step {match[2]}"


def _types(match: re.Match[str], history: WorkflowHistory) -> str:
    return f"where the history calls the activity {match[1]}, the code calls {match[2]}"


def _other(match: re.Match[str], history: WorkflowHistory) -> str:
    does = _DOES.get(match[1], f"does something else ({match[1]})")
    return f"where the history {_event(int(match[2]), history)}, the code {does}"


def _nothing(match: re.Match[str], history: WorkflowHistory) -> str:
    return f"where the history {_event(int(match[1]), history)}, the code does not"


def _no_end(match: re.Match[str], history: WorkflowHistory) -> str:
    return "where the history records that the enrollment ended, the code goes on"


_Tell = Callable[[re.Match[str], WorkflowHistory], str]
_TOLD: list[tuple[re.Pattern[str], _Tell]] = [
    (
        re.compile(r"Activity id of scheduled event '(.*?)' does not match activity id of activity command '(.*?)'"),
        _ids,
    ),
    (re.compile(r"Activity type of scheduled event '(.*?)' does not match .* '(.*?)'"), _types),
    (re.compile(r"(\w+?) ?[Mm]achine does not handle this event: HistoryEvent\(id: (\d+)"), _other),
    (re.compile(r"No command scheduled for event HistoryEvent\(id: (\d+)"), _nothing),
    (re.compile(r"Missing associated machine for LocalActivity"), _no_end),
]


def _event(number: int, history: WorkflowHistory) -> str:
    event = next((event for event in history.events if event.event_id == number), None)
    return f"{_done(event, history)} (event {number})" if event else f"goes on at event {number}"


def _done(event: HistoryEvent, history: WorkflowHistory) -> str:
    kind, attributes = kind_of(event), attributes_of(event)
    if kind == "timer_started":
        return f"waits in {_step_of_timer(event)}"
    if kind in ("timer_canceled", "timer_fired"):
        timer = next(each for each in history.events if each.event_id == attributes.started_event_id)
        return f"ends its wait in {_step_of_timer(timer)}"
    if kind == "activity_task_scheduled":
        return f"does step {attributes.activity_id}"
    if kind == "marker_recorded":
        return "records that the enrollment ended"
    if kind == "upsert_workflow_search_attributes":
        return f"shows the state {_state(event)}"
    if kind == "workflow_execution_update_accepted":
        name = attributes.accepted_request.input.name
        return _TOLD_TO_IT.get(name, f"is told {name}")
    return f"has {kind.replace('_', ' ')}"


_TOLD_TO_IT = {"answer": "takes an answer", "hold": "is held", "resume": "goes on after a hold"}


def _state(event: HistoryEvent) -> str:
    """What operators see that the enrollment waits for."""
    fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
    return str(json.loads(fields[STATE_ATTRIBUTE].data)) if STATE_ATTRIBUTE in fields else "of something else"


def _step_of_timer(event: HistoryEvent) -> str:
    return summary_of(event).partition(": ")[0]


def _raised_at(said: str) -> str:
    """The innermost line that is not the SDK's."""
    places = [(file, line) for file, line in _PLACE.findall(said) if "temporalio" not in file and "asyncio" not in file]
    if not places:
        return ""
    file, line = places[-1]
    return f" at {'/'.join(file.rsplit('/', 2)[-2:])}:{line}"
