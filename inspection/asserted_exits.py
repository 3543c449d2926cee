"""Which exits the tests of a flow see contacts take, as the tests are written. None of them is run.

A listing has to be quick and the same everywhere, and to say what is so now. Notes taken when the tests ran last would
be missing from a fresh clone and out of date after an edit; so the source is read, and read strictly. An exit counts if
a test that pytest runs enrolls a contact in the flow by `journey(…)`, and asserts, where nothing passes it by, that the
outcome has this exit. Asserts in branches and in functions of their own are not seen: what is told is at least so. That
the asserts hold is for the suite to say.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from domain.flows import Exit
from inspection.flow_source import dotted

Test: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_MAY_NOT_RUN = ("skip", "skipif", "xfail", "importorskip", "fail")
_LEAVES = (ast.Return, ast.Break, ast.Continue)
_MAY_SWALLOW = ("suppress", "raises")
_TELL_THE_EXIT = ("outcome", "enrollment")
"""Methods of a journey whose answer has an `exit`."""


def asserted_exits(module: ast.Module, flow_class: str) -> frozenset[Exit]:
    return frozenset(exit_ for test in _tests(module.body) for exit_ in _Reader(test, flow_class).exits)


def _tests(body: Sequence[ast.stmt]) -> Iterator[Test]:
    """Those that pytest collects and runs: of two of one name, the second."""
    if any(_may_not_run(statement) for statement in body if not isinstance(statement, Test | ast.ClassDef)):
        return
    named = {statement.name: statement for statement in body if isinstance(statement, Test | ast.ClassDef)}
    for name, node in named.items():
        if any(_may_not_run(decorator) for decorator in node.decorator_list if not _columns(decorator)):
            continue
        if isinstance(node, ast.ClassDef):
            yield from _tests(node.body) if name.startswith("Test") else ()
        elif name.startswith("test"):
            yield node


class _Reader:
    """Goes through a test as it runs, as far as it is certain to run."""

    def __init__(self, test: Test, flow_class: str) -> None:
        self.exits: set[Exit] = set()
        self._flow_class = flow_class
        self._journeys: set[str] = set()
        self._outcomes: set[str] = set()
        self._values: dict[str, list[ast.expr]] = {}
        """What a name stands for, one after the other."""
        for decorator in test.decorator_list:
            self._values |= _columns(decorator)
        self._read(test.body)

    def _read(self, body: Sequence[ast.stmt]) -> bool:
        """Answers whether what stands behind is certain to run too."""
        return all(self._goes_on(statement) for statement in body)

    def _goes_on(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
                return False
            case ast.Assert():
                self._hold(statement.test)
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                is_outcome = self._is_outcome(value)
                self._forget(statement)
                if is_outcome:
                    self._outcomes.add(name)
            case ast.With() | ast.AsyncWith() if not any(map(_may_swallow, statement.items)):
                for item in statement.items:
                    self._enter(item)
                return self._read(statement.body)
            case ast.For(target=ast.Name(id=name), iter=ast.Tuple() | ast.List() as literal) if literal.elts:
                self._forget(statement)
                self._values[name] = [value for value in literal.elts if not isinstance(value, ast.Starred)]
                return self._read(statement.body)
            case ast.Try(handlers=[]):
                return self._read([*statement.body, *statement.finalbody])
            case ast.Expr():
                return not _may_not_run(statement)
            case _:
                self._forget(statement)
                return not any(isinstance(node, _LEAVES) for node in ast.walk(statement)) and not _may_not_run(
                    statement
                )
        return True

    def _enter(self, item: ast.withitem) -> None:
        if isinstance(item.optional_vars, ast.Name):
            self._forget(item.optional_vars)
            match item.context_expr:
                case ast.Call(func=ast.Name(id="journey"), args=[flow, *_]) if self._is_flow(flow):
                    self._journeys.add(item.optional_vars.id)

    def _is_flow(self, node: ast.expr) -> bool:
        return dotted(node).rpartition(".")[2] == self._flow_class

    def _forget(self, node: ast.AST) -> None:
        """Names that are bound in it stand for something else from now on."""
        for name in ast.walk(node):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                self._journeys.discard(name.id)
                self._outcomes.discard(name.id)
                self._values.pop(name.id, None)

    def _is_outcome(self, node: ast.expr) -> bool:
        match node:
            case ast.Await(value=ast.Call(func=ast.Attribute(value=ast.Name(id=journey), attr=method))):
                return journey in self._journeys and method in _TELL_THE_EXIT
            case ast.Name(id=name):
                return name in self._outcomes
        return False

    def _hold(self, claim: ast.expr) -> None:
        match claim:
            case ast.BoolOp(op=ast.And(), values=claims):
                for each in claims:
                    self._hold(each)
            case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
                self._same(left, right)

    def _same(self, left: ast.expr, right: ast.expr) -> None:
        if isinstance(left, ast.Tuple) and isinstance(right, ast.Tuple) and len(left.elts) == len(right.elts):
            for one, other in zip(left.elts, right.elts, strict=True):
                self._same(one, other)
        for told, said in ((left, right), (right, left)):
            match told, said:
                case ast.Attribute(value=outcome, attr="exit"), _ if self._is_outcome(outcome):
                    self.exits.update(self._exits(said))
                case _, ast.Call(func=ast.Name(id="Outcome"), keywords=words) if self._is_outcome(told):
                    self.exits.update(each for word in words if word.arg == "exit" for each in self._exits(word.value))

    def _exits(self, said: ast.expr) -> Iterator[Exit]:
        match said:
            case ast.Attribute(value=ast.Name(id="Exit"), attr=name) if name in Exit.__members__:
                yield Exit[name]
            case ast.Constant(value=str(name)) if name in list(Exit):
                yield Exit(name)
            case ast.Name(id=name):
                for value in self._values.get(name, ()):
                    if not isinstance(value, ast.Name):
                        yield from self._exits(value)


def _may_not_run(node: ast.AST) -> bool:
    """Whether it marks tests to be skipped or to fail, or skips the one that it is in."""
    named = (dotted(each).rpartition(".") for each in ast.walk(node))
    return any(owner in ("pytest", "pytest.mark", "mark") and name in _MAY_NOT_RUN for owner, _, name in named)


def _may_swallow(item: ast.withitem) -> bool:
    return isinstance(item.context_expr, ast.Call) and _last(item.context_expr.func) in _MAY_SWALLOW


def _last(node: ast.AST) -> str:
    return dotted(node).rpartition(".")[2]


def _columns(decorator: ast.expr) -> dict[str, list[ast.expr]]:
    """The values of each argument by `pytest.mark.parametrize`, as far as they are written there."""
    match decorator:
        case ast.Call(func=func, args=[titles, ast.List() | ast.Tuple() as rows], keywords=words):
            if _last(func) != "parametrize" or any(word.arg == "indirect" for word in words):
                return {}
            names = _names(titles)
            cells = [_cells(row, len(names)) for row in rows.elts if not _may_not_run(row)]
            whole = [row for row in cells if len(row) == len(names)]
            return {name: [row[place] for row in whole] for place, name in enumerate(names)}
    return {}


def _names(titles: ast.expr) -> list[str]:
    match titles:
        case ast.Constant(value=str(text)):
            return [name.strip() for name in text.split(",") if name.strip()]
        case ast.Tuple(elts=each) | ast.List(elts=each):
            return [str(title.value) for title in each if isinstance(title, ast.Constant)]
    return []


def _cells(row: ast.expr, count: int) -> list[ast.expr]:
    match row:
        case ast.Call(func=ast.Attribute(attr="param"), args=cells):
            return cells
        case ast.Tuple(elts=cells) | ast.List(elts=cells) if count > 1:
            return cells
    return [row]
