"""Follows a journey through its source: statements in order, and the flow's own methods where they are called."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from inspection.faults import Fault
from inspection.hidden import Hidden, hidden_calls
from inspection.loop_keys import LoopKeys, keys_of, seen_from
from inspection.outline import Block, Branch, End, Loop, Node, Step, Verb
from inspection.returns import InnerReturn, decision, without_returns
from inspection.verb_calls import ARGUMENTS, Method, argument, own_method, verb_of, written_name
from inspection.written_values import Names

_INLINED_AT_MOST = 200
_FIELDS = ("step", "message", "event", "duration", "moment", "within", "due", "respond_within")
"""Arguments that a Step has fields for."""


@dataclass(frozen=True)
class VerbCall:
    """A call of a verb as it was come upon, with the loops around it, the outermost first, and the names it sees."""

    node: ast.Call
    step: Step
    loops: tuple[LoopKeys, ...]
    names: Names

    def given(self, name: str) -> ast.expr | None:
        """An argument as it is written there, or what the name that is written there stands for."""
        return self.names.meant(argument(self.node, self.step.verb, name))


@dataclass(frozen=True)
class Journey:
    """`calls` are in the order of the source, those of a method that is called twice come twice."""

    line: int | None
    outline: Block
    calls: tuple[VerbCall, ...]
    faults: tuple[Fault, ...]


def read_journey(flow_class: ast.ClassDef, names: Names, file: str) -> Journey:
    """Follow `journey`. What cannot be followed is left out of the outline, and told in `faults`.

    `names` are those that the class sees around it.
    """
    methods = {node.name: node for node in flow_class.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    reader = _Reader(methods, names, file)
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
    def __init__(self, methods: Mapping[str, Method], names: Names, file: str) -> None:
        self.calls: list[VerbCall] = []
        self.faults: list[Fault] = []
        self.followed: set[int] = set()
        """Ids of the nodes of calls that the journey comes to."""
        self.entered: set[str] = set()
        """The methods that the journey goes through."""
        self._methods = methods
        self._names = {name: names.inside(method) for name, method in methods.items()}
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
                return [*before, End(statement.lineno, "return", _answer(value, before))]
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
        asked = self._question(statement.test, loops)
        then, otherwise = (tuple(self._block(body, loops)) for body in (statement.body, statement.orelse))
        if not asked.steps and not then and not otherwise:
            return asked.before
        return [*asked.before, asked.branch(statement, then, otherwise)]

    def _question(self, test: ast.expr, loops: tuple[LoopKeys, ...]) -> _Question:
        negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        asked = test.operand if isinstance(test, ast.UnaryOp) and negated else test
        asked = asked.value if isinstance(asked, ast.NamedExpr) else asked
        if not isinstance(asked, ast.Await):
            return _Question(self._expression(asked, loops), negated)
        if isinstance(asked.value, ast.Call) and (name := own_method(asked.value, self._methods)):
            nodes = self._entered(asked.value, name, loops)
            if decided_by := decision(tuple(nodes)):
                return _Question([], negated, decided_by=decided_by)
            nodes = self._without_returns(name, nodes)
        else:
            nodes = self._expression(asked, loops)
        if nodes and isinstance(nodes[-1], Step):
            return _Question(nodes[:-1], negated, nodes[-1])
        return _Question(nodes, negated)

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
        asked = self._question(statement.test, loops)
        body = tuple(self._block(statement.body, loops))
        if not asked.before and not asked.steps:
            return [Loop(statement.lineno, f"while {ast.unparse(statement.test)}", body)] if body else []
        # The step in the test is part of each round.
        round_ = (*asked.before, asked.branch(statement, body, (End(statement.lineno, "break"),)))
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
        names, arguments = self._names[self._inside[-1]], ARGUMENTS[verb]
        name = written_name(argument(call, verb, "step"))
        message = argument(call, verb, "message")
        event = written_name(argument(call, verb, "event")) or name
        limit = argument(call, verb, arguments.limit)
        others = [each for each in (*arguments.by_place, *arguments.by_name) if each not in _FIELDS]
        step = Step(
            line=call.lineno,
            verb=verb,
            name=name,
            message=(written_name(message) or name) if verb == "send" else None,
            event=event if verb == "happened" else None,
            limit=_written(limit, names),
            words=tuple(_words(message, names, loops)),
            given=tuple((each, text) for each in others if (text := _written(argument(call, verb, each), names))),
        )
        self.calls.append(VerbCall(call, step, loops, names))
        return step

    def _inline(self, call: ast.Call, name: str, loops: tuple[LoopKeys, ...]) -> list[Node]:
        return self._without_returns(name, self._entered(call, name, loops))

    def _entered(self, call: ast.Call, name: str, loops: tuple[LoopKeys, ...]) -> list[Node]:
        """What a method of the flow does, with its returns."""
        self.followed.add(id(call))
        self._inlined += 1
        if name in self._inside:
            self._fault(call, f"self.{name} comes back to itself", "write a loop")
            return []
        if self._inlined > _INLINED_AT_MOST:
            self._fault(call, f"the journey calls more than {_INLINED_AT_MOST} methods", "tell it in a shorter way")
            return []
        method = self._methods[name]
        return self.method(method, seen_from(method, call, loops))

    def _without_returns(self, name: str, nodes: list[Node]) -> list[Node]:
        try:
            return list(without_returns(tuple(nodes)))
        except InnerReturn as inner:
            mend = "write it as the other branch of an if"
            self.faults.append(Fault(self._file, inner.line, f"a return amid {name} cannot be followed", mend))
            return nodes

    def _fault(self, node: ast.Call, what: str, mend: str) -> None:
        self.faults.append(Fault(self._file, node.lineno, what, mend))


@dataclass(frozen=True)
class _Question:
    """A test: what comes before it, and the step or the method that is asked, if it asks just one."""

    before: list[Node]
    negated: bool
    asks: Step | None = None
    decided_by: Block = ()

    @property
    def steps(self) -> bool:
        return self.asks is not None or bool(self.decided_by)

    def branch(self, statement: ast.If | ast.While, then: Block, otherwise: Block) -> Branch:
        test = ast.unparse(statement.test)
        return Branch(statement.lineno, test, self.asks, self.negated, then, otherwise, self.decided_by)


def _answer(value: ast.expr | None, before: Sequence[Node]) -> Literal["yes", "no", "step"] | None:
    """What a return answers to who asks yes or no."""
    match value:
        case None | ast.Constant(value=False | None):
            return "no"
        case ast.Constant(value=True):
            return "yes"
        case ast.Await(value=ast.Call() as call) if verb_of(call) and before:
            return "step"
    return None


def _written(node: ast.expr | None, names: Names) -> str | None:
    """The source of an argument, or of what a variable in its place stands for, unless a step answered that."""
    meant = names.of_method.get(node.id, node) if isinstance(node, ast.Name) else node
    if meant is None:
        return None
    answered = any(isinstance(inner, ast.Await) for inner in ast.walk(meant))
    return ast.unparse(node if answered and node is not None else meant)


def _words(
    message: ast.expr | None, names: Names, loops: tuple[LoopKeys, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for part in message.values if isinstance(message, ast.JoinedStr) else ():
        if isinstance(part, ast.FormattedValue) and (words := names.words_for(part.value, loops)):
            yield ast.unparse(part.value), words


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
