"""Rules for what stands beside a flow: its test, and the histories that it is replayed with."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from domain.flows import Exit
from inspection.faults import Fault, UnreadableFlow
from inspection.flow_source import FlowSource, parse
from inspection.layout import Layout
from inspection.outline import steps
from inspection.verb_calls import waits

_EXITED = re.compile(rf"exited-({'|'.join(Exit)})\.json")


def flow_is_tested(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    path = layout.test(source.path.stem)
    if not path.is_file():
        yield source.fault(None, f"{source.class_name} has no test", f"write {layout.seen(path)}")
        return
    try:
        module = parse(path)
    except UnreadableFlow as error:
        yield layout.fault(path, error.fault.what, error.fault.mend, error.fault.line)
        return
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    if not any(function.name.startswith("test") for function in functions):
        yield layout.fault(path, "holds no test", "write what a contact lives through: async def test_…")
        return
    names = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    if source.class_name not in names | attributes:
        yield layout.fault(path, f"no test uses {source.class_name}", "enroll a contact in it")


def flow_has_histories(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """One finished, one that waits in each step that waits, and, if there is any, one that an exit interrupted.

    Of any version. A flow without a wait is over before anything interrupts it.
    """
    flow = source.path.stem
    folder, mend = layout.histories(flow), f"run cauce flows record {flow}"
    files = sorted(folder.glob("*/*.json"))
    for path in files:
        if not _is_history(path):
            yield layout.fault(path, "is not a history", mend)
    names = [path.name for path in files]
    if not names:
        yield source.fault(None, f"{layout.seen(folder)} holds no histories", mend)
        return
    if "finished.json" not in names:
        yield source.fault(None, "there is no history of a contact who finished", mend)
    waiting = [step for step in steps(source.outline) if waits(step)]
    if waiting and not any(_EXITED.fullmatch(name) for name in names):
        yield source.fault(None, "there is no history of a contact whom an exit took out", mend)
    told: set[str] = set()
    for step in waiting:
        pattern = re.sub(r"\\\{[^{}]*\\\}", ".+", re.escape(f"waiting-{step.name}.json"))
        first = bool(step.name) and step.name not in told
        told.add(step.name)
        if first and not any(re.fullmatch(pattern, name) for name in names):
            yield source.fault(step.line, f"there is no history of a contact who waits in {step.name}", mend)


def _is_history(path: Path) -> bool:
    try:
        history = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(history, dict) and bool(history.get("events"))
