"""Rules for the code around a journey: what it may import, call and override."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from difflib import get_close_matches

from domain.flows import FlowSettings
from inspection.faults import Fault
from inspection.flow_source import FlowSource, dotted
from inspection.layout import Layout
from inspection.verb_calls import ARGUMENTS, Method
from workflows.flow import Flow

_OF_WORKFLOW = frozenset({"defn", "run", "logger", "now"})
_IMPORTED = frozenset({*sys.stdlib_module_names, "pydantic", "temporalio", "domain", "activities"})
_ACT = "say it with the verbs, or in an activity"
_CLOCK = "write workflow.now(), the same on every replay"
_ACTING = (
    "asyncio concurrent http importlib io multiprocessing os random secrets shutil socket sqlite3 subprocess tempfile"
)
_ACTING += " threading time urllib uuid.uuid1 uuid.uuid4 pathlib temporalio.workflow temporalio.client"
_MENDS = {
    **dict.fromkeys(_ACTING.split(), _ACT),
    "asyncio.sleep": "write await self.wait(…)",
    "datetime.date.today": _CLOCK,
    "datetime.datetime.now": _CLOCK,
    "datetime.datetime.today": _CLOCK,
    "datetime.datetime.utcnow": _CLOCK,
    "logging": "use workflow.logger, which is silent on replay",
}
"""What is not the same when a history is replayed, or acts behind the verbs' back, with all that is below each name."""
_OF_PYTHON = frozenset(
    {"breakpoint", "compile", "delattr", "eval", "exec", "getattr", "globals", "hash", "id", "input"}
)
_OF_PYTHON |= {"locals", "open", "print", "setattr", "vars", "__import__"}
_OWN = ("about", "journey", "run", "settings_model")


def imports_are_few(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """A flow imports the standard library, pydantic, temporalio, domain, activities and the verbs."""
    for node in ast.walk(source.module):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = ["." * node.level + (node.module or "")]
            if node.module == "workflows" and not node.level:
                modules = [f"workflows.{alias.name}" for alias in node.names]
            if any(alias.name == "*" for alias in node.names):
                yield source.fault(node.lineno, f"a flow imports all of {modules[0]}", "name what it needs")
        else:
            continue
        for module in modules:
            if module == "workflows.flow" or module.partition(".")[0] in _IMPORTED:
                continue
            if module.startswith(("workflows", ".")):
                mend = "of workflows/ import workflows.flow alone: flows do not know each other"
            else:
                mend = "leave it to an activity, or write it in domain/"
            yield source.fault(node.lineno, f"a flow imports {module}", mend)


def only_verbs_act(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Nothing in the module acts, waits, or asks for what is not the same when a history is replayed."""
    imported = _imported_names(source.module)
    names = [node for node in ast.walk(source.module) if isinstance(node, ast.Name)]
    bound = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    inner = {id(node.value) for node in ast.walk(source.module) if isinstance(node, ast.Attribute)}
    annotations = _annotations(source.module)
    for node in ast.walk(source.module):
        if not isinstance(node, ast.Name | ast.Attribute) or id(node) in inner or id(node) in annotations:
            continue
        written = dotted(node)
        first, dot, rest = written.partition(".")
        name = f"{imported.get(first, first)}{dot}{rest}"
        if first in imported and (mend := _mend_of(name)):
            yield source.fault(node.lineno, f"a flow calls for {written}", mend)
        elif first in _OF_PYTHON and first not in bound and first not in imported:
            yield source.fault(node.lineno, f"a flow calls for {first}", "say it with the verbs, or in an activity")


def _mend_of(name: str) -> str | None:
    """How to mend the use of a name, given in full; None if nothing is wrong with it."""
    parts = name.split(".")
    if parts[:2] == ["temporalio", "workflow"] and len(parts) > 2 and parts[2] in _OF_WORKFLOW:
        return None
    if parts[0] == "activities" and parts[-1].islower():
        return _ACT
    above = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_MENDS[known] for known in above if known in _MENDS), None)


def _imported_names(module: ast.Module) -> dict[str, str]:
    """What each imported name stands for, in full."""
    names: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _annotations(module: ast.Module) -> set[int]:
    roots: list[ast.AST | None] = []
    for node in ast.walk(module):
        if isinstance(node, ast.AnnAssign | ast.arg):
            roots.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            roots.append(node.returns)
    return {id(inner) for root in roots if root is not None for inner in ast.walk(root)}


def verbs_are_called_in_sight(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Neither a verb nor the flow itself is handed to other code, where a step could hide."""
    called = {id(node.func) for node in ast.walk(source.flow_class) if isinstance(node, ast.Call)}
    owned = {id(node.value) for node in ast.walk(source.flow_class) if isinstance(node, ast.Attribute)}
    own = {node.name for node in source.flow_class.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in ast.walk(source.flow_class):
        if isinstance(node, ast.Attribute) and dotted(node.value) == "self":
            if isinstance(node.ctx, ast.Store):
                yield source.fault(node.lineno, f"self.{node.attr} is set", "keep it in a variable of the journey")
            elif node.attr in ARGUMENTS and id(node) not in called:
                yield source.fault(node.lineno, f"self.{node.attr} is passed on", "call it where it happens")
            elif node.attr.startswith("_") and node.attr not in own:
                yield source.fault(node.lineno, f"self.{node.attr} belongs to the base", "use the verbs")
        elif isinstance(node, ast.Name) and node.id == "self" and id(node) not in owned:
            yield source.fault(
                node.lineno, "self is passed on, so a step could hide there", "pass what is needed of it"
            )
        elif isinstance(node, ast.Name) and node.id == "super":
            yield source.fault(node.lineno, "super is called", "use the verbs")


def base_is_kept(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Exits, as after an unsubscribe, are the base's work: nothing of it is replaced."""
    for base in source.flow_class.bases:
        if dotted(base.value if isinstance(base, ast.Subscript) else base).rpartition(".")[2] != "Flow":
            what = f"{source.class_name} inherits from {ast.unparse(base)} too"
            yield source.fault(base.lineno, what, "make Flow its only base")
    for node in source.flow_class.body:
        for name in _defined(node):
            if name not in _OWN and (hasattr(Flow, name) or name in ("__init__", "__new__")):
                what = f"{source.class_name} replaces {name} of its base"
                yield source.fault(node.lineno, what, "rename or delete it: exits rest on the base")


def _defined(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def run_conducts(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """`run` is `return await self.conduct()`, which lets exits interrupt the journey."""
    runs = [node for node in source.flow_class.body if "run" in _defined(node)]
    mend = "write return await self.conduct() under @workflow.run, and nothing else"
    if not runs:
        yield source.fault(None, f"{source.class_name} has no run", mend)
    for run in runs:
        if not isinstance(run, ast.AsyncFunctionDef) or not _conducts(run):
            yield source.fault(run.lineno, "run is not just the base's conduct, so exits would not interrupt it", mend)


def _conducts(run: Method) -> bool:
    body = [node for node in run.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    return [ast.unparse(decorator) for decorator in run.decorator_list] == ["workflow.run"] and [
        ast.unparse(node) for node in body
    ] == ["return await self.conduct()"]


def run_takes_an_enrollment(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """`run` takes just what the base's __init__ does.

    The SDK refuses the flow otherwise, and compares annotations as they are kept: the base's is the text `Enrollment`.
    """
    deferred = _defers_annotations(source.module)
    for run in source.flow_class.body:
        if not isinstance(run, ast.AsyncFunctionDef) or run.name != "run":
            continue
        given = run.args
        own = given.args[1:]
        if len(own) != 1 or given.posonlyargs or given.vararg or given.kwonlyargs or given.kwarg or given.defaults:
            what = f"run takes ({ast.unparse(given)}), which the SDK refuses"
            yield source.fault(run.lineno, what, "write async def run(self, enrollment: Enrollment)")
        elif not deferred and not isinstance(own[0].annotation, ast.Constant):
            what = "annotations are not kept as text, so the SDK finds run unlike its base"
            yield source.fault(run.lineno, what, "write from __future__ import annotations below the docstring")
        elif _kept(own[0].annotation, deferred) != "Enrollment":
            what = f"run takes {ast.unparse(own[0])}, which the SDK refuses"
            yield source.fault(run.lineno, what, "write async def run(self, enrollment: Enrollment)")


def _defers_annotations(module: ast.Module) -> bool:
    futures = (node for node in module.body if isinstance(node, ast.ImportFrom) and node.module == "__future__")
    return any(alias.name == "annotations" for node in futures for alias in node.names)


def _kept(annotation: ast.expr | None, deferred: bool) -> object:
    """What the SDK sees of an annotation: its text, where it is deferred or is a text itself."""
    if annotation is None:
        return None
    return ast.unparse(annotation) if deferred or not isinstance(annotation, ast.Constant) else annotation.value


def order_is_the_same_twice(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """No loop goes over a set, which every process orders its own way."""
    for node in ast.walk(source.flow_class):
        if not isinstance(node, ast.For | ast.comprehension):
            continue
        over = node.iter
        made = isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id in ("set", "frozenset")
        if made or isinstance(over, ast.Set | ast.SetComp):
            mend = "go over a tuple, or over sorted(…)"
            yield source.fault(over.lineno, "a loop goes over a set, whose order differs on replay", mend)


def nothing_is_raised(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    for node in ast.walk(source.flow_class):
        if isinstance(node, ast.Raise):
            yield source.fault(node.lineno, "a flow raises", "end with self.finish(…)")


def what_is_read_exists(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """The flow reads settings that there are, and calls methods that it or its base has."""
    settings = {setting.name for setting in source.settings.fields} if source.settings else None
    inside = list(ast.walk(source.flow_class))
    own = {node.name for node in inside if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    stored = [node for node in inside if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store)]
    own |= {node.id if isinstance(node, ast.Name) else node.attr for node in stored}
    for node in inside:
        if not isinstance(node, ast.Attribute):
            continue
        of = dotted(node.value)
        if of == "self.settings" and settings is not None and node.attr not in settings | set(dir(FlowSettings)):
            there_are = ", ".join(sorted(settings)) or "none yet"
            yield source.fault(node.lineno, f"there is no setting {node.attr}", f"add it; there are: {there_are}")
        theirs = node.attr in own or node.attr == "settings" or node.attr.startswith("_") or hasattr(Flow, node.attr)
        if of == "self" and not theirs:
            near = get_close_matches(node.attr, ARGUMENTS, n=1)
            mend = f"write {near[0]}" if near else f"the verbs are {', '.join(ARGUMENTS)}"
            yield source.fault(node.lineno, f"there is no self.{node.attr}", mend)
