"""What a flow declares, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from domain.events import LEAD_OFFERED, LEAVING_EVENTS
from inspection.faults import Fault
from inspection.flow_source import Declared, FlowSource, keywords_of


def goal_of(source: FlowSource) -> dict[str, Declared]:
    """The keywords of `Goal(…)`; none if it is not spelt out."""
    goal = source.about.get("goal")
    return keywords_of(goal.value, "Goal") if goal else {}


def goal_event(source: FlowSource) -> str | None:
    event = goal_of(source).get("event")
    return text_of(event.value) if event else None


def goal_others(source: FlowSource) -> tuple[str, ...] | None:
    """The other events that reach the goal, as long as no setting says otherwise; None if they are not written down."""
    others = goal_of(source).get("others")
    return source.names.texts(others.value) if others else ()


def goal_events(source: FlowSource) -> frozenset[str]:
    """All events that reach the goal, as far as they are written down."""
    return frozenset(filter(None, (goal_event(source), *(goal_others(source) or ()))))


def listened(source: FlowSource) -> frozenset[str] | None:
    """The events besides the goal that the flow is told of; None if they are not spelt out."""
    if "listens" not in source.about:
        return frozenset()
    value = source.about["listens"].value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in ("frozenset", "set"):
        if not value.args:
            return frozenset()
        value = value.args[0]
    if not isinstance(value, ast.Set | ast.List | ast.Tuple):
        return None
    events = [text_of(event) for event in value.elts]
    return frozenset(event for event in events if event is not None) if None not in events else None


def text_of(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def reserved_event(event: str) -> str | None:
    """Why no journey is told of an event, though it may happen; None if it is one like others."""
    if event in LEAVING_EVENTS:
        return "ends every enrollment at once"
    if event == LEAD_OFFERED:
        return "is what Cauce tells a lead in the queue"
    return None


def unknown_words(
    source: FlowSource, given: Mapping[str, Declared], called: str, known: Mapping[str, object]
) -> Iterator[Fault]:
    """Keywords of a call that it does not take."""
    for name, declared in given.items():
        if name not in known:
            yield source.fault(declared.line, f"{called} has no {name}", f"it has {', '.join(known)}")
