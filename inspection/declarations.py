"""What a flow declares, read from its source."""

from __future__ import annotations

import ast

from inspection.flow_source import Declared, FlowSource, keywords_of


def goal_of(source: FlowSource) -> dict[str, Declared]:
    """The keywords of `Goal(…)`; none if it is not spelt out."""
    goal = source.about.get("goal")
    return keywords_of(goal.value, "Goal") if goal else {}


def goal_event(source: FlowSource) -> str | None:
    event = goal_of(source).get("event")
    return text_of(event.value) if event else None


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
