"""Takes out of a history what is of one machine and one moment, so that the same code leaves the same bytes anywhere.

Replaying needs a history's events, their order and what they carry. It does not need who worked on them, nor when in
the real world. Ids become numbers in the order of their appearance, but for those of questions, which the flow's code
computes; time is what the journey's waits add up to, from a fixed beginning: what a step's work took is not part of it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from temporalio.client import WorkflowHistory

from domain.questions import question_id
from rehearsal.standing import kind_of, moment_of

BEGINNING = datetime(2026, 1, 5, 9, tzinfo=UTC)
"""When every recorded journey begins: a Monday, as all journeys do."""

_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_MINUTE = re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d UTC\b")
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
_DURATION = re.compile(r"P(?:\d+D)?T(?:\d+H)?(?:\d+M)?\d+\.\d+S")
"""One with a fraction of a second: what is left of a round one after some work."""
_KEY = re.compile(r"-\d{8}T\d{12}\b")
"""When a hold was told first, in the id of its update: see `store.holds.Telling`."""
_EXACT = TypeAdapter(timedelta)
_ASKING = ("approval.ask", "task.open", "lead.offer")
_OF_THE_MACHINE = frozenset(
    {
        "binaryChecksum",
        "historySizeBytes",
        "identity",
        "meteringMetadata",
        "requestId",
        "sdkName",
        "sdkVersion",
        "stickyAttributes",
        "taskId",
        "version",
        "workerVersion",
    }
)


def sanitised(history: WorkflowHistory) -> str:
    """The history as JSON, as Temporal exports it, ended by a line end."""
    document = json.loads(history.to_json())
    began = moment_of(history.events[0])
    ids = _Numbers(_questions(history))
    at = BEGINNING
    timers: dict[int, datetime] = {}
    accepted: dict[str, int] = {}
    task_completed = _task_completed(history)
    for event, written in zip(history.events, document["events"], strict=True):
        attributes = next(value for key, value in written.items() if key.endswith("EventAttributes"))
        kind = kind_of(event)
        if kind == "timer_started":
            lasts = _without_work(event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta())
            attributes["startToFireTimeout"] = f"{lasts.total_seconds():.10g}s"
            timers[event.event_id] = at + lasts
        elif kind == "timer_fired":
            at = max(at, timers[event.timer_fired_event_attributes.started_event_id])
        elif kind == "workflow_task_completed":
            # The test server leaves this out, and means the start of the task where others mean its completion.
            attributes["startedEventId"] = str(event.event_id - 1)
        elif kind == "workflow_execution_update_accepted":
            accepted[attributes["acceptedRequest"]["meta"]["updateId"]] = event.event_id
        elif kind == "workflow_execution_update_completed":
            # The test server leaves this out too.
            attributes["acceptedEventId"] = str(accepted[attributes["meta"]["updateId"]])
        if "workflowTaskCompletedEventId" in attributes:
            told = int(attributes["workflowTaskCompletedEventId"])
            attributes["workflowTaskCompletedEventId"] = str(task_completed.get(told, told))
        written["eventTime"] = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
        _rewrite(written, _Words(ids, began, at))
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


class _Numbers:
    """Ids by the order in which they appear. `questions` are enrollment and key of each question, by its id."""

    def __init__(self, questions: Mapping[str, tuple[str, str]]) -> None:
        self._known: dict[str, str] = {}
        self._questions = questions

    def of(self, found: re.Match[str]) -> str:
        return self._number(found[0])

    def _number(self, identity: str) -> str:
        if identity in self._questions:
            enrollment_id, key = self._questions[identity]
            return question_id(self._number(enrollment_id), key)
        return self._known.setdefault(identity, f"00000000-0000-7000-8000-{len(self._known) + 1:012}")


def _questions(history: WorkflowHistory) -> dict[str, tuple[str, str]]:
    """What was asked, as the workflow knows it: see `workflows.asking`."""
    found = {}
    for event in history.events:
        order = event.activity_task_scheduled_event_attributes
        if order.activity_type.name in _ASKING:
            asked = json.loads(order.input.payloads[0].data)
            key = "/".join(filter(None, (asked["step"], asked.get("content_hash"))))
            found[question_id(asked["enrollment_id"], key)] = (asked["enrollment_id"], key)
    return found


class _Words:
    """Rewrites the texts of one event, whose time is `at`, in a journey that really `began` then."""

    def __init__(self, ids: _Numbers, began: datetime, at: datetime) -> None:
        self._ids = ids
        self._began = began
        self.at = at

    def text(self, text: str) -> str:
        text = _UUID.sub(self._ids.of, text)
        text = _KEY.sub("", text)
        if _DURATION.fullmatch(text):
            text = _EXACT.dump_python(_without_work(_EXACT.validate_python(text)), mode="json")
        text = _MINUTE.sub(lambda found: self._moved(found, "%Y-%m-%d %H:%M UTC"), text)
        return _MOMENT.sub(lambda found: self._moved(found, None), text)

    def _moved(self, found: re.Match[str], form: str | None) -> str:
        if form is None:
            moment = datetime.fromisoformat(found[0])
            return f"{BEGINNING + _without_work(moment - self._began):%Y-%m-%dT%H:%M:%SZ}"
        moment = datetime.strptime(found[0], form).replace(tzinfo=UTC)
        # Both are cut to minutes, so that the seconds of the real beginning do not matter.
        return f"{BEGINNING + (moment - self._began.replace(second=0, microsecond=0)):{form}}"


def _task_completed(history: WorkflowHistory) -> dict[int, int]:
    """The completion of each workflow task, by the event of its start."""
    return {
        event.event_id - 1: event.event_id for event in history.events if kind_of(event) == "workflow_task_completed"
    }


def _without_work(duration: timedelta) -> timedelta:
    """A duration as the flow tells it: what it lacks or has too much is the work of steps, which took moments."""
    seconds = duration.total_seconds()
    grain = 60 if seconds > 1800 else 1 if seconds > 10 else 0
    return timedelta(seconds=round(seconds / grain) * grain) if grain else duration


def _rewrite(value: Any, words: _Words) -> None:
    """Change a part of a history in place."""
    if isinstance(value, dict):
        for key in _OF_THE_MACHINE & value.keys():
            del value[key]
        for key, inner in value.items():
            value[key] = _rewritten(key, inner, value, words)
            _rewrite(value[key], words)
    elif isinstance(value, list):
        if all(isinstance(inner, int) for inner in value):  # flags of the SDK, in no order
            value.sort()
        for at, inner in enumerate(value):
            if isinstance(inner, str):
                value[at] = words.text(inner)
            else:
                _rewrite(inner, words)


def _rewritten(key: str, inner: Any, around: dict[str, Any], words: _Words) -> Any:
    if not isinstance(inner, str) or key in ("eventTime", "eventType"):
        return inner
    if key == "data" and "metadata" in around:
        return _payload(inner, words)
    if key == "encoding":
        return inner
    return words.text(inner)


def _payload(data: str, words: _Words) -> str:
    raw = base64.b64decode(data)
    try:
        content = json.loads(raw)
    except ValueError:
        return data
    return base64.b64encode(json.dumps(_each(content, words), separators=(",", ":")).encode()).decode()


def _each(content: Any, words: _Words) -> Any:
    if isinstance(content, str):
        return words.text(content)
    if isinstance(content, list):
        return [_each(inner, words) for inner in content]
    if not isinstance(content, dict):
        return content
    if content.keys() == {"seconds", "nanos"}:  # a local activity's marker tells when it was done
        return {"seconds": int(words.at.timestamp()), "nanos": 0}
    return {key: _each(inner, words) for key, inner in content.items()}
