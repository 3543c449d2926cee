"""Rules for steps that ask people of the team, or leave the contact to another flow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from inspection.declarations import goal_of, text_of
from inspection.faults import Fault, UnreadableFlow
from inspection.flow_source import FlowSource, Setting, dotted, flow_classes, parse
from inspection.layout import Layout
from inspection.step_rules import SNAKE_CASE
from inspection.verb_calls import argument, waits

_WHO = ("role", "person_id", "lead_owner")


def people_are_named(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """An approval has a plan, a task is for somebody, and `Asked(…)` names one of what it can."""
    for call in source.journey.calls:
        for name, wanted in (("plan", "ApprovalPlan"), ("to", "Asked")):
            given = call.given(name)
            setting = _setting(source, given)
            if isinstance(given, ast.Constant):
                yield source.fault(call.step.line, f"step {call.step.name} asks nobody", f"write {name}={wanted}(…)")
            elif setting is not None and wanted not in re.findall(r"\w+", ast.unparse(setting.annotation)):
                what = f"step {call.step.name} asks by the setting {setting.name}, which is no {wanted}"
                yield source.fault(call.step.line, what, f"make it {setting.name}: {wanted}, or name another")
    for node in ast.walk(source.module):
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == "Asked":
            yield from _faults_of_asked(source, node)


def _setting(source: FlowSource, given: ast.expr | None) -> Setting | None:
    fields = source.settings.fields if source.settings else ()
    read = dotted(given) if given is not None else ""
    return next((field for field in fields if read == f"self.settings.{field.name}"), None)


def _faults_of_asked(source: FlowSource, asked: ast.Call) -> Iterator[Fault]:
    words = {word.arg: word.value for word in asked.keywords if word.arg}
    if asked.args or set(words) - set(_WHO) or len(words) != 1:
        what = f"{ast.unparse(asked)} does not name just one who is asked"
        yield source.fault(asked.lineno, what, 'write Asked(role="…"), Asked(person_id=…) or Asked(lead_owner=True)')
    elif (role := text_of(words.get("role"))) is not None and not SNAKE_CASE.fullmatch(role):
        yield source.fault(asked.lineno, f"the role {role!r} is not in snake_case", "write it like sales_manager")


def tasks_are_waited_for_or_not(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Whether a task is waited for is written out; reminders come while it is, and have a unit."""
    for call in source.journey.calls:
        if call.step.verb != "task":
            continue
        wait, every = argument(call.node, "task", "wait"), call.given("remind_every")
        if wait is not None and not (isinstance(wait, ast.Constant) and isinstance(wait.value, bool)):
            what = f"step {call.step.name} computes whether it waits: {ast.unparse(wait)}"
            yield source.fault(call.step.line, what, "write wait=False, or leave it out, in branches if need be")
        if isinstance(every, ast.Constant) and every.value is not None:
            what = f"step {call.step.name} reminds every {ast.unparse(every)}, which has no unit"
            yield source.fault(call.step.line, what, "write timedelta(…) or a setting that is a Duration")
        elif every is not None and not waits(call.step):
            what = f"step {call.step.name} reminds nobody, since it does not wait"
            yield source.fault(call.step.line, what, "delete remind_every, or let it wait")


def contacts_are_handed_to_flows(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Who takes a contact over, from a step or when the goal is reached, is another flow of the project."""
    goal = goal_of(source).get("hand_over_to")
    if goal is not None and not (isinstance(goal.value, ast.Constant) and goal.value.value is None):
        yield from _faults_of_target(source, layout, goal.line, "the goal", goal.value)
    for call in source.journey.calls:
        given = call.given("flow")
        if call.step.verb == "hand_over" and given is not None:
            yield from _faults_of_target(source, layout, call.step.line, f"step {call.step.name}", given)


def _faults_of_target(source: FlowSource, layout: Layout, line: int, who: str, given: ast.expr) -> Iterator[Fault]:
    flow = text_of(given)
    if flow is None:
        what = f"{who} computes the flow that it hands over to: {ast.unparse(given)}"
        yield source.fault(line, what, "write it as a literal, in branches if there are several")
    elif flow == source.path.stem:
        yield source.fault(line, f"{who} hands the contact over to this flow itself", "name another one")
    elif not SNAKE_CASE.fullmatch(flow) or not _is_flow(layout, flow):
        what = f"{who} hands the contact over to {flow!r}, and no such flow is in workflows/"
        yield source.fault(line, what, "write it, or mend the name")


def _is_flow(layout: Layout, flow: str) -> bool:
    try:
        return bool(flow_classes(parse(layout.module(flow))))
    except UnreadableFlow:
        return layout.module(flow).is_file()  # what is wrong with it is told of it
