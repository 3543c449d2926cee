"""Rules for what a flow's goal declares: the events that reach it, how many should, and who goes on from there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from domain.flows import Goal
from inspection.declarations import goal_event, goal_of, goal_others, reserved_event, text_of, unknown_words
from inspection.faults import Fault
from inspection.flow_source import FlowSource
from inspection.layout import Layout
from inspection.step_rules import SNAKE_CASE

_REQUIRED = tuple(name for name, field in Goal.model_fields.items() if field.is_required())
_LITERAL = 'write ("…", "…"), or a constant of the module'


def goal_is_complete(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    if "goal" not in source.about:
        return
    goal, line = goal_of(source), source.about["goal"].line
    if not goal:
        yield source.fault(line, "goal is not spelt out", "write Goal(event=…, target=…, within=…)")
        return
    for name in _REQUIRED:
        if name not in goal:
            yield source.fault(line, f"goal has no {name}", f"add {name}=… to Goal")
    yield from unknown_words(source, goal, "Goal", Goal.model_fields)
    if "event" in goal:
        event = goal_event(source)
        if event is None:
            yield source.fault(goal["event"].line, "the goal's event is computed", "write it as a literal")
        else:
            yield from _faults_of_event(source, goal["event"].line, f"the goal's event {event}", event)
    target = goal["target"].value if "target" in goal else None
    if isinstance(target, ast.Constant) and not (isinstance(target.value, float | int) and 0 < target.value <= 1):
        mend = "write a share above 0, at most 1"
        yield source.fault(goal["target"].line, f"the goal's target is {target.value!r}", mend)
    if "within" in goal and isinstance(goal["within"].value, ast.Constant):
        what = f"the goal's within is {ast.unparse(goal['within'].value)}, which has no unit"
        yield source.fault(goal["within"].line, what, "write timedelta(…)")


def _faults_of_event(source: FlowSource, line: int, what: str, event: str) -> Iterator[Fault]:
    if not SNAKE_CASE.fullmatch(event):
        yield source.fault(line, f"{what} is not in snake_case", "rename it")
    elif why := reserved_event(event):
        yield source.fault(line, f"{what} {why}", "name what contacts should do")


def other_events_reach_the_goal(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Others are written down, each is an event of its own, and the setting that replaces them has the same default."""
    goal = goal_of(source)
    others, event = goal_others(source), goal_event(source)
    if others is None:
        yield source.fault(goal["others"].line, "the goal's others are computed", _LITERAL)
        return
    for other in others:
        line = goal["others"].line
        if other == event or others.count(other) > 1:
            yield source.fault(line, f"{other} reaches the goal twice", "name it once")
            return
        yield from _faults_of_event(source, line, f"{other}, which reaches the goal,", other)
    if "others_setting" in goal:
        yield from _faults_of_setting(source, others)


def _faults_of_setting(source: FlowSource, others: tuple[str, ...]) -> Iterator[Fault]:
    declared = goal_of(source)["others_setting"]
    name, line = text_of(declared.value), declared.line
    setting = next((each for each in source.settings.fields if each.name == name), None) if source.settings else None
    if isinstance(declared.value, ast.Constant) and declared.value.value is None:
        return
    if name is None:
        yield source.fault(line, "the goal's others_setting is computed", "write the setting's name")
    elif setting is None:
        there_are = ", ".join(each.name for each in source.settings.fields) if source.settings else "none"
        yield source.fault(
            line, f"there is no setting {name}, for the goal's others", f"add it; there are: {there_are}"
        )
    elif not re.match(r"(tuple|list)\b", ast.unparse(setting.annotation)):
        what = f"the setting {name} holds no events, but is the goal's others_setting"
        yield source.fault(setting.line, what, "make it a tuple[ActName, ...]")
    elif (default := source.names.texts(setting.default)) is None or set(default) != set(others):
        what = f"the setting {name} has another default than the goal's others, which count if it is not given"
        yield source.fault(setting.line, what, "give both the same constant of the module")
