"""The rule for what a flow declares to enroll contacts in it by itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from domain.triggers import Trigger
from inspection.declarations import unknown_words
from inspection.faults import Fault
from inspection.flow_source import FlowSource, dotted, keywords_of
from inspection.layout import Layout
from inspection.step_rules import SNAKE_CASE


def triggers_are_complete(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Each is spelt out, is one that there can be, and sets what the flow has."""
    declared = source.about.get("triggers")
    if declared is None:
        return
    if not isinstance(declared.value, ast.Tuple):
        yield source.fault(declared.line, "triggers is not spelt out", 'write (Trigger(event="…"),)')
        return
    for node in declared.value.elts:
        yield from _faults(source, node)


def _faults(source: FlowSource, node: ast.expr) -> Iterator[Fault]:
    words = keywords_of(node, "Trigger")
    if not words:
        yield source.fault(node.lineno, "a trigger is not spelt out", 'write Trigger(event="…")')
        return
    yield from unknown_words(source, words, "Trigger", Trigger.model_fields)
    given: dict[str, Any] = {}
    for name in words.keys() & Trigger.model_fields.keys():
        try:
            given[name] = _value(words[name].value)
        except (TypeError, ValueError):
            yield source.fault(words[name].line, f"{name} of a trigger is computed", "write it out")
            return
    try:
        trigger = Trigger.model_validate(given)
    except ValidationError as error:
        for fault in error.errors():
            told = fault["msg"].removeprefix("Value error, ")
            yield source.fault(node.lineno, f"there is no such trigger: {told}", "write one that there can be")
        return
    if trigger.event is not None and not SNAKE_CASE.fullmatch(trigger.event):
        yield source.fault(node.lineno, f"the event {trigger.event} of a trigger is not in snake_case", "rename it")
    known = {setting.name for setting in source.settings.fields} if source.settings else set()
    for name in trigger.settings:
        if name not in known:
            yield source.fault(
                words["settings"].line, f"a trigger sets {name}, which the flow has not", "add the setting"
            )


def _value(node: ast.expr) -> Any:
    """What is written: a literal, or `timedelta(…)` of some. Raises: TypeError, ValueError for anything else."""
    if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == "timedelta" and not node.args:
        return timedelta(**{str(word.arg): ast.literal_eval(word.value) for word in node.keywords})
    return ast.literal_eval(node)
