"""Rules for the steps of a journey: their names, their waits, and the events that they wait for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from domain.trail import BEGINNING
from inspection.declarations import goal_event, goal_events, goal_others, listened, reserved_event
from inspection.faults import Fault
from inspection.flow_source import FlowSource
from inspection.journey_source import VerbCall
from inspection.layout import Layout
from inspection.outline import Block, Branch, Loop, steps
from inspection.returns import ends
from inspection.verb_calls import ARGUMENTS, argument, waits
from inspection.ways_out import loops_left

SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
KEBAB_CASE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+|-\{\w+\})*")
_KEY = re.compile(r"\{(\w+)\}")


def journey_is_told(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """There is a journey, it is a coroutine, and it can be followed."""
    yield from source.journey.faults
    if source.journey.line is None:
        yield source.fault(None, f"{source.class_name} has no journey", "write async def journey(self) -> None")
        return
    methods = [node for node in source.flow_class.body if isinstance(node, ast.FunctionDef) and node.name == "journey"]
    for method in methods:
        yield source.fault(method.lineno, "journey is not a coroutine", "write async def journey(self) -> None")
    for node in source.flow_class.body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "journey" and node.decorator_list:
            yield source.fault(node.lineno, "journey is decorated", "delete the decorator: it could hide steps")
    if not methods and not source.journey.calls and not source.journey.faults:
        yield source.fault(
            source.journey.line, "the journey has no step", "tell it with the verbs of workflows/flow.py"
        )


def names_are_literal(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """A step's name is written where it is called, in kebab-case; in a loop it ends in the loop's key."""
    for call in source.journey.calls:
        name = argument(call.node, call.step.verb, "step")
        line = call.step.line
        if name is None:
            yield source.fault(line, f"self.{call.step.verb} has no name of a step", "name it first, in kebab-case")
        elif isinstance(name, ast.Constant) and isinstance(name.value, str):
            if not KEBAB_CASE.fullmatch(name.value):
                yield source.fault(line, f"step {name.value} is not in kebab-case", _kebab(name.value))
        elif isinstance(name, ast.JoinedStr):
            yield from _faults_of_pattern(source, call, name)
        else:
            what = f"the step's name is computed: {ast.unparse(name)}"
            yield source.fault(line, what, "write it as a literal, in a loop with the loop's key")


def _kebab(name: str) -> str:
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name).lower())
    return f"write {'-'.join(words)}" if words and words[0][0].isalpha() else "write words joined by hyphens"


def _faults_of_pattern(source: FlowSource, call: VerbCall, name: ast.JoinedStr) -> Iterator[Fault]:
    line, written = call.step.line, call.step.name
    for part in name.values:
        if not isinstance(part, ast.FormattedValue):
            continue
        plain = isinstance(part.value, ast.Name) and part.conversion == -1 and part.format_spec is None
        if not plain:
            what = f"step {written} computes {ast.unparse(part.value)} in its name"
            yield source.fault(line, what, "put the loop's key there as it is")
            return
        if isinstance(part.value, ast.Name) and part.value.id not in _keys(call):
            what = f"{part.value.id} in step {written} is no key of a loop around it"
            yield source.fault(line, what, "use a variable that changes in the loop, or write the name out")
            return
    if not KEBAB_CASE.fullmatch(written):
        what = f"step {written} is not a literal in kebab-case, then the loop's key"
        yield source.fault(line, what, 'write it like f"reminder-{week}"')


def _keys(call: VerbCall) -> frozenset[str]:
    return frozenset[str]().union(*(loop.names for loop in call.loops))


def names_tell_rounds_apart(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """In a loop a step's name has the key of each loop around it that it is no way out of, and no key comes twice."""
    left = loops_left(source.outline)
    for call in source.journey.calls:
        used = set(_KEY.findall(call.step.name))
        if not KEBAB_CASE.fullmatch(call.step.name) or not used <= _keys(call):
            continue  # told by names_are_literal
        for loop in call.loops:
            if loop.line in left.get(call.step, ()):
                continue
            if not used & loop.names:
                key = min(loop.names - {"_"}, default="key")
                what = f"step {call.step.name} comes in each round of the loop at line {loop.line}, without its key"
                yield source.fault(call.step.line, what, f'name it like f"{call.step.name or "step"}-{{{key}}}"')
            elif loop.values is not None and len(set(loop.values)) < len(loop.values):
                twice = next(value for value in loop.values if loop.values.count(value) > 1)
                what = f"step {call.step.name} comes twice, since its loop goes over {twice} twice"
                yield source.fault(call.step.line, what, f"go over {twice} once")


def names_are_unique(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """No two steps have a name, or may come to have it."""
    seen: list[VerbCall] = []
    for call in source.journey.calls:
        if not call.step.name or not KEBAB_CASE.fullmatch(call.step.name):
            continue
        for other in seen:
            if _collide(call, other):
                first = f"first at line {other.step.line}"
                where = "its method is called twice" if other.node is call.node else first
                alike = "" if other.step.name == call.step.name else f" as {other.step.name}"
                what = f"step {call.step.name} comes twice ({where}{alike})"
                yield source.fault(call.step.line, what, "give each step a name of its own")
                break
        seen.append(call)


def _collide(call: VerbCall, other: VerbCall) -> bool:
    if call.step.name == other.step.name:
        return True
    if _KEY.search(call.step.name) and _KEY.search(other.step.name):
        return _KEY.sub("{}", call.step.name) == _KEY.sub("{}", other.step.name)
    return any(re.fullmatch(_pattern(one), two.step.name) is not None for one, two in ((call, other), (other, call)))


def _pattern(call: VerbCall) -> str:
    """What a step's name may be, with the keys that are known filled in."""
    pattern = re.escape(call.step.name).replace(r"\{", "{").replace(r"\}", "}")
    for loop in call.loops:
        values = "|".join(map(re.escape, loop.values)) if loop.values else r"\d+" if loop.counted else ".+"
        pattern = pattern.replace(f"{{{loop.target}}}", f"({values})")
    return _KEY.sub("(.+)", pattern)


def names_are_not_reserved(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    for step in steps(source.outline):
        if step.name == BEGINNING:
            yield source.fault(step.line, f"step {BEGINNING} is what the Web UI calls the beginning", "rename it")


def waits_end(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Every wait says how long, as a duration."""
    for call in source.journey.calls:
        wanted = ARGUMENTS[call.step.verb].limit
        if not wanted or not waits(call.step):
            continue
        limit = argument(call.node, call.step.verb, wanted)
        if limit is None or (isinstance(limit, ast.Constant) and limit.value is None):
            mend = f"add {wanted}=" + ("the moment" if wanted == "moment" else "timedelta(…) or a setting")
            yield source.fault(call.step.line, f"step {call.step.name} waits without an end", mend)
        elif not any(isinstance(part, ast.Name | ast.Call) for part in ast.walk(limit)):
            what = f"step {call.step.name} waits {ast.unparse(limit)}, which has no unit"
            yield source.fault(call.step.line, what, "write timedelta(…) or a setting that is a Duration")


def events_are_heard(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Each wait's event is one that the flow is told of, and each that it is told of is waited for."""
    goal, listens = goal_events(source), listened(source)
    known = goal_event(source) is not None and goal_others(source) is not None and listens is not None
    awaited = {step.event for step in steps(source.outline) if step.verb == "happened"}
    for call in source.journey.calls:
        step, given = call.step, argument(call.node, call.step.verb, "event")
        if step.verb != "happened" or not step.event:
            continue
        if given is not None and not isinstance(given, ast.Constant):
            yield source.fault(step.line, f"step {step.name} computes its event", "write it as a literal")
        elif not SNAKE_CASE.fullmatch(step.event):
            what = f"step {step.name} waits for the event {step.event}, which is not in snake_case"
            yield source.fault(step.line, what, 'name the event: event="…"')
        elif why := reserved_event(step.event):
            what = f"step {step.name} waits for {step.event}, which {why}"
            yield source.fault(step.line, what, "delete the wait")
        elif known and step.event not in goal | (listens or frozenset()):
            what = f"step {step.name} waits for {step.event}, which the flow is never told of"
            yield source.fault(step.line, what, f'add "{step.event}" to listens')
    for event in sorted((listens or frozenset()) - awaited):
        if reserved_event(event) is None:
            line = source.about["listens"].line
            yield source.fault(line, f"listens has {event}, which no step waits for", "delete it, or wait for it")


def steps_are_reached(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """No step stands behind the end of its block."""
    yield from _unreached(source, source.outline)


def _unreached(source: FlowSource, block: Block) -> Iterator[Fault]:
    for place, node in enumerate(block):
        if ends(node):
            for step in list(steps(block[place + 1 :]))[:1]:
                what = f"step {step.name} is never come to: what stands at line {node.line} ends there"
                yield source.fault(step.line, what, "delete one of them")
            break
    for node in block:
        if isinstance(node, Branch):
            yield from _unreached(source, node.decided_by)
            yield from _unreached(source, node.then)
            yield from _unreached(source, node.otherwise)
        elif isinstance(node, Loop):
            yield from _unreached(source, node.body)
