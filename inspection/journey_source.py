"""Follows a journey through its source: statements in order, and the flow's own methods where they are called."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inspection.faults import Fault
from inspection.hidden import Hidden, hidden_calls
from inspection.loop_keys import LoopKeys, keys_of, seen_from
from inspection.outline import Block, Branch, End, Loop, Node, Step, Verb
from inspection.returns import InnerReturn, without_returns
from inspection.verb_calls import ARGUMENTS, Method, argument, own_method, verb_of, written_name

_INLINED_AT_MOST = 200


@dataclass(frozen=True)
class VerbCall:
    """A call of a verb as it was come upon, with the loops around it, the outermost first."""

    node: ast.Call
    step: Step
    loops: tuple[LoopKeys, ...]


@dataclass(frozen=True)
class Journey:
    """`calls` are in the order of the source, those of a method that is called twice come twice."""

    line: int | None
    outline: Block
    calls: tuple[VerbCall, ...]
    faults: tuple[Fault, ...]


def read_journey(flow_class: ast.ClassDef, file: str) -> Journey:
    """Follow `journey`. What cannot be followed is left out of the outline, and told in `faults`."""
    methods = {node.name: node for node in flow_class.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    reader = _Reader(methods, file)
    journey = methods.get("journey")
    outline = reader.method(journey, ()) if journey else ()
    hidden = hidden_calls(flow_class, methods, reader.entered, reader.followed)
    return Journey(
        line=journey.lineno if journey else None,
        outline=tuple(outline),
        calls=tuple(reader.calls),
        faults=tuple(dict.fromkeys([*reader.faults, *(_told(call, file) for call in hidden)])),
    )


def _told(hidden: Hidden, file: str) -> Fault:
    return Fault(file, hidden.line, f"self.{hidden.called} {hidden.where} cannot be followed", hidden.mend)


class _Reader:
    def __init__(self, methods: Mapping[str, Method], file: str) -> None:
        self.calls: list[VerbCall] = []
        self.faults: list[Fault] = []
        self.followed: set[int] = set()
        """Ids of the nodes of calls that the journey comes to."""
        self.entered: set[str] = set()
        """The methods that the journey goes through."""
        self._methods = methods
        self._file = file
        self._inside: list[str] = []
        self._inlined = 0

    def method(self, method: Method, loops: tuple[LoopKeys, ...]) -> list[Node]:
        self.entered.add(method.name)
        self._inside.append(method.name)
        nodes = self._block(method.body, loops)
        self._inside.pop()
        return nodes

    def _block(self, statements: Sequence[ast.stmt], loops: tuple[LoopKeys, ...]) -> list[Node]:
        return [node for statement in statements for node in self._statement(statement, loops)]

    def _statement(self, statement: ast.stmt, loops: tuple[LoopKeys, ...]) -> list[Node]:
        match statement:
            case ast.Expr(value=value) | ast.Assign(value=value) | ast.AugAssign(value=value):
                return self._expression(value, loops)
            case ast.AnnAssign(value=ast.expr() as value):
                return self._expression(value, loops)
            case ast.Return(value=value):
                before = self._expression(value, loops) if value else []
                return [*before, End(statement.lineno, "return")]
            case ast.Raise():
                return [End(statement.lineno, "return")]
            case ast.Break():
                return [End(statement.lineno, "break")]
            case ast.Continue():
                return [End(statement.lineno, "continue")]
            case ast.If():
                return self._branch(statement, loops)
            case ast.Match():
                return self._cases(statement, loops)
            case ast.For():
                before = self._expression(statement.iter, loops)
                body = tuple(self._block(statement.body, (*loops, keys_of(statement))))
                header = f"for {ast.unparse(statement.target)} in {ast.unparse(statement.iter)}"
                return [*before, Loop(statement.lineno, header, body)] if body else before
            case ast.While():
                return self._while(statement, loops)
        return []

    def _branch(self, statement: ast.If, loops: tuple[LoopKeys, ...]) -> list[Node]:
        before, asks, negated = self._question(statement.test, loops)
        then, otherwise = (tuple(self._block(body, loops)) for body in (statement.body, statement.orelse))
        if asks is None and not then and not otherwise:
            return before
        return [*before, Branch(statement.lineno, ast.unparse(statement.test), asks, negated, then, otherwise)]

    def _question(self, test: ast.expr, loops: tuple[LoopKeys, ...]) -> tuple[list[Node], Step | None, bool]:
        """What comes before a branch, the step that it asks if it asks just one, and whether it is negated."""
        negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        asked = test.operand if isinstance(test, ast.UnaryOp) and negated else test
        asked = asked.value if isinstance(asked, ast.NamedExpr) else asked
        nodes = self._expression(asked, loops)
        if isinstance(asked, ast.Await) and nodes and isinstance(nodes[-1], Step):
            return nodes[:-1], nodes[-1], negated
        return nodes, None, negated

    def _cases(self, statement: ast.Match, loops: tuple[LoopKeys, ...]) -> list[Node]:
        before = self._expression(statement.subject, loops)
        subject = ast.unparse(statement.subject)
        outline: list[Node] = []
        bodies = [(case, self._block(case.body, loops)) for case in statement.cases]
        for case, body in reversed(bodies):
            guard = f" if {ast.unparse(case.guard)}" if case.guard else ""
            test = f"{subject} is {ast.unparse(case.pattern)}{guard}"
            if ast.unparse(case.pattern) == "_" and not guard:
                outline = body
            elif body or outline:
                outline = [Branch(case.pattern.lineno, test, None, False, tuple(body), tuple(outline))]
        return [*before, *outline]

    def _while(self, statement: ast.While, loops: tuple[LoopKeys, ...]) -> list[Node]:
        loops = (*loops, keys_of(statement))
        before, asks, negated = self._question(statement.test, loops)
        body, test = tuple(self._block(statement.body, loops)), ast.unparse(statement.test)
        if not before and asks is None:
            return [Loop(statement.lineno, f"while {test}", body)] if body else []
        # The step in the test is part of each round.
        end = (End(statement.lineno, "break"),)
        round_ = (*before, Branch(statement.lineno, test, asks, negated, body, end))
        return [Loop(statement.lineno, "while True", round_)]

    def _expression(self, node: ast.AST, loops: tuple[LoopKeys, ...]) -> list[Node]:
        match node:
            case ast.Await(value=ast.Call() as call) if verb := verb_of(call):
                if verb == "finish":
                    self._fault(call, "self.finish is awaited, but answers nothing", "delete the await")
                return [self._step(call, verb, loops)]
            case ast.Await(value=ast.Call() as call) if name := own_method(call, self._methods):
                return self._inline(call, name, loops)
            case ast.Call() if verb := verb_of(node):
                if verb != "finish":
                    self._fault(node, f"self.{verb} is not awaited, so it never happens", f"write await self.{verb}(…)")
                return [self._step(node, verb, loops)]
            case ast.Call() if name := own_method(node, self._methods):
                if isinstance(self._methods[name], ast.AsyncFunctionDef):
                    self._fault(node, f"self.{name} is not awaited, so it never happens", f"write await self.{name}(…)")
                return self._inline(node, name, loops)
        return [step for child in _always_evaluated(node) for step in self._expression(child, loops)]

    def _step(self, call: ast.Call, verb: Verb, loops: tuple[LoopKeys, ...]) -> Step:
        self.followed.add(id(call))
        name = written_name(argument(call, verb, "step"))
        message = written_name(argument(call, verb, "message")) or name
        event = written_name(argument(call, verb, "event")) or name
        limit = argument(call, verb, ARGUMENTS[verb].limit)
        step = Step(
            line=call.lineno,
            verb=verb,
            name=name,
            message=message if verb == "send" else None,
            event=event if verb == "happened" else None,
            limit=ast.unparse(limit) if limit else None,
        )
        self.calls.append(VerbCall(call, step, loops))
        return step

    def _inline(self, call: ast.Call, name: str, loops: tuple[LoopKeys, ...]) -> list[Node]:
        self.followed.add(id(call))
        self._inlined += 1
        if name in self._inside:
            self._fault(call, f"self.{name} comes back to itself", "write a loop")
            return []
        if self._inlined > _INLINED_AT_MOST:
            self._fault(call, f"the journey calls more than {_INLINED_AT_MOST} methods", "tell it in a shorter way")
            return []
        method = self._methods[name]
        nodes = self.method(method, seen_from(method, call, loops))
        try:
            return list(without_returns(tuple(nodes)))
        except InnerReturn as inner:
            mend = "write it as the other branch of an if"
            self.faults.append(Fault(self._file, inner.line, f"a return amid {name} cannot be followed", mend))
            return nodes

    def _fault(self, node: ast.Call, what: str, mend: str) -> None:
        self.faults.append(Fault(self._file, node.lineno, what, mend))


def _always_evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of an expression that run once whenever it does, in order."""
    match node:
        case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return
        case ast.BoolOp():
            yield node.values[0]
        case ast.IfExp():
            yield node.test
        case ast.Compare():
            yield from (node.left, node.comparators[0])
        case _:
            yield from ast.iter_child_nodes(node)
