"""Rules for what the verbs are given, and for answers that are not read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from domain.working_time import Weekday
from inspection.declarations import text_of
from inspection.faults import Fault
from inspection.flow_source import FlowSource, dotted
from inspection.layout import Layout
from inspection.outline import Verb
from inspection.verb_calls import ARGUMENTS, Method, argument, verb_of, waits, written_name

_READ: tuple[Verb, ...] = ("choose", "bracket", "ask")
"""Verbs that are of no use unless what they answer is read."""
_SAYING = {"subject": "what they see", "text": "the note", "attribute": "whose value is looked up"}
_STAGE = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def arguments_are_given(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Each verb gets what it needs, and nothing that it does not take."""
    for call in source.journey.calls:
        node, step, wanted = call.node, call.step, ARGUMENTS[call.step.verb]
        taken = (*wanted.by_place, *wanted.by_name)
        if any(isinstance(given, ast.Starred) for given in node.args) or any(
            word.arg is None for word in node.keywords
        ):
            what = f"step {step.name} is given arguments that are not written out"
            yield source.fault(step.line, what, "write each by its name")
            continue
        for word in node.keywords:
            if word.arg not in taken:
                what = f"{step.verb} has no {word.arg}, which step {step.name} gives"
                yield source.fault(step.line, what, f"it has {', '.join(taken)}")
        if len(node.args) > len(wanted.by_place):
            what = f"step {step.name} gives {step.verb} {len(node.args)} arguments by place"
            yield source.fault(step.line, what, f"give all but {', '.join(wanted.by_place)} by name")
            continue
        for name in wanted.needs:
            told_as_a_wait = name == wanted.limit and waits(step)
            if argument(node, step.verb, name) is None and not told_as_a_wait:
                yield source.fault(step.line, f"step {step.name} has no {name}", f"add {name}=…")
        for name, what_for in _SAYING.items():
            given = call.given(name)
            if isinstance(given, ast.Constant) and not (isinstance(given.value, str) and given.value.strip()):
                yield source.fault(step.line, f"the {name} of step {step.name} says nothing", f"write {what_for}")


def answers_are_read(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """What is looked up, and what people decide, makes a difference."""
    for method in source.flow_class.body:
        if isinstance(method, ast.AsyncFunctionDef):
            yield from _unread(source, method)


def _unread(source: FlowSource, method: Method) -> Iterator[Fault]:
    names = [node for node in ast.walk(method) if isinstance(node, ast.Name)]
    read = {name.id for name in names if isinstance(name.ctx, ast.Load)}
    for node in ast.walk(method):
        match node:
            case (
                ast.Expr(value=ast.Await(value=ast.Call() as call))
                | ast.Assign(targets=[ast.Name()], value=ast.Await(value=ast.Call() as call))
                | ast.AnnAssign(target=ast.Name(), value=ast.Await(value=ast.Call() as call))
            ) if (verb := verb_of(call)) in _READ:
                kept = {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and _is_stored(name)}
                if verb is not None and not kept & read:
                    name = written_name(argument(call, verb, "step"))
                    mend = "read whether it is .approved" if verb == "ask" else "read it, or delete the step"
                    yield source.fault(call.lineno, f"nothing reads the answer of step {name}", mend)


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def lookups_are_written(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Words to choose among and bounds are in an order, each once; what is set has literal names."""
    for call in source.journey.calls:
        among, bounds, stage = call.given("among"), call.given("bounds"), text_of(call.given("stage"))
        words = call.names.texts(among)
        if among is not None and (isinstance(among, ast.Set | ast.Constant) or words == ()):
            what = f"step {call.step.name} chooses among {ast.unparse(among)}"
            yield source.fault(call.step.line, what, 'write a tuple of words, ("…", "…"), the default first')
        elif words is not None and len(set(words)) < len(words):
            twice = next(word for word in words if words.count(word) > 1)
            yield source.fault(call.step.line, f"step {call.step.name} chooses {twice} twice", "name it once")
        numbers = _numbers(source, bounds)
        rising = numbers is None or (numbers and numbers == sorted(set(numbers)))
        if bounds is not None and (isinstance(bounds, ast.Set | ast.Constant) or not rising):
            what = f"the bounds of step {call.step.name} do not rise: {ast.unparse(bounds)}"
            yield source.fault(call.step.line, what, "write a tuple of numbers, the least first")
        if stage is not None and not _STAGE.fullmatch(stage):
            what = f"step {call.step.name} sets the lifecycle stage {stage!r}"
            yield source.fault(call.step.line, what, "write it in small letters, like sales_accepted")
        for name in ("facts", "fields"):
            if (given := call.given(name)) is not None and not _has_literal_keys(given):
                what = f"step {call.step.name} computes the names of its {name}: {ast.unparse(given)}"
                yield source.fault(call.step.line, what, 'write {"name": value, …}')


def _numbers(source: FlowSource, bounds: ast.expr | None) -> list[float] | None:
    """Of literals and of settings' defaults; None if one is not written down."""
    if not isinstance(bounds, ast.Tuple | ast.List):
        return None
    defaults = {setting.name: setting.default for setting in source.settings.fields} if source.settings else {}
    numbers = []
    for bound in bounds.elts:
        setting = defaults.get(dotted(bound).removeprefix("self.settings."))
        match setting or bound:
            case ast.Constant(value=int() | float() as number):
                numbers.append(number)
            case _:
                return None
    return numbers


def _has_literal_keys(given: ast.expr) -> bool:
    if isinstance(given, ast.Constant) and given.value is None:
        return True
    return isinstance(given, ast.Dict) and all(text_of(key) for key in given.keys)


def local_times_are_real(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """A local time is a time of day, on weekdays that there are."""
    for call in source.journey.calls:
        if call.step.verb != "wait_for_local_time":
            continue
        at, days = call.given("at"), call.given("days")
        if isinstance(at, ast.Constant):
            what = f"step {call.step.name} waits for {ast.unparse(at)}, which is no time of day"
            yield source.fault(call.step.line, what, "write time(9, 30), of datetime, or a setting that is a WallTime")
        if isinstance(days, ast.Constant) or (isinstance(days, ast.Tuple | ast.List | ast.Set) and not days.elts):
            what = f"step {call.step.name} waits for a weekday of {ast.unparse(days)}"
            yield source.fault(call.step.line, what, "write (Weekday.TUESDAY, …), or leave days out for any day")
        for day in days.elts if isinstance(days, ast.Tuple | ast.List | ast.Set) else ():
            owner, _, name = dotted(day).rpartition(".")
            if owner.rpartition(".")[2] != "Weekday" or name not in Weekday.__members__:
                what = f"step {call.step.name} waits for {ast.unparse(day)}, which is no weekday"
                yield source.fault(call.step.line, what, "write Weekday.MONDAY, of domain.working_time")
