"""Outlines of any shape, also of shapes that nobody would write, and what a contact lives through in them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any, TypeAlias, get_args

from hypothesis import strategies as st

from domain.flows import FlowType, Goal, OnEdit
from inspection.outline import Block, Branch, End, Loop, Node, Step, Verb

ABOUT = FlowType(
    title="Any flow",
    goal=Goal(event="bought", target=0.5, within=timedelta(days=9)),
    owner="marketing",
    on_edit=OnEdit.FOLLOW,
)
Shape: TypeAlias = str | tuple[str, list[Any], list[Any]]

_STEPS = [verb for verb in get_args(Verb) if verb != "finish"]
_LEAVES = (*_STEPS, "finish", "return", "break", "continue")
_ASKED = ("asked", "goal", "sent", "handed", "tested", "once", "twice", "sooner")
_BRANCHES = (*_ASKED, *(f"{kind} not" for kind in _ASKED))
_METHODS: dict[str, list[Shape]] = {
    "once": [("asked", ["yes"], []), "send"],
    "twice": [("asked", ["yes"], []), "send", ("asked", ["yes"], ["no"])],
    "sooner": ["wait", ("twice", [("tested", ["no"], [])], ["send", "yes"]), "ask", ("goal", ["yes"], ["no"])],
}
"""Methods that are asked yes or no, with what they answer; at their end, no."""
_LOOPS = ("for", "while", "while True")
_HEADERS = {"for": "for week in (1, 2)", "while": "while self.left", "while True": "while True"}


def _around(inner: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    blocks = st.lists(inner, max_size=4)
    return st.tuples(st.sampled_from(_BRANCHES), blocks, blocks) | st.tuples(
        st.sampled_from(_LOOPS), blocks, st.just([])
    )


def outlines() -> st.SearchStrategy[Block]:
    shapes = st.recursive(st.sampled_from(_LEAVES), _around, max_leaves=14)
    return st.lists(shapes, max_size=6).map(outline)


def outline(shapes: list[Shape]) -> Block:
    """Steps are named by their lines, which count up from 1."""
    lines = count(1)

    def step(verb: str, event: str | None = None) -> Step:
        line = next(lines)
        event = event or (f"event_{line}" if verb == "happened" else None)
        return Step(line, verb, f"step-{line}", event=event, limit="self.settings.pause")  # type: ignore[arg-type]

    def node(shape: Shape) -> Node:
        match shape:
            case "return" | "break" | "continue":
                return End(next(lines), shape)
            case "yes" | "no":
                return End(next(lines), "return", shape)
            case str(verb):
                return step(verb)
            case (kind, body, _) if kind in _HEADERS:
                return Loop(next(lines), _HEADERS[kind], block(body))
            case (kind, then, otherwise):
                told, negated = kind.removesuffix(" not"), kind.endswith(" not")
                asks = {
                    "asked": lambda: step("happened"),
                    "goal": lambda: step("happened", "bought"),
                    "sent": lambda: step("send"),
                    "handed": lambda: step("hand_over"),
                }.get(told, lambda: None)()
                method = _METHODS.get(told)
                decided_by = (*block(method), End(next(lines), "return", "no")) if method else ()
                line = next(lines)
                return Branch(line, "self.left > 1", asks, negated, block(then), block(otherwise), decided_by)
        raise AssertionError(shape)

    def block(shapes: list[Any]) -> Block:
        return tuple(node(shape) for shape in shapes)

    return block(shapes)


class Over(Exception):
    """The walk has come to an end: of the journey, or of its choices."""


class _Jump(Exception):
    def __init__(self, end: End) -> None:
        self.kind = end.kind
        self.answer = end.answer


class Walk:
    """Goes through an outline, answering each question by the next of `choices`.

    `trail` tells what was come to, by line, and the answer that was given there; the last one is a word for how it
    ended, or None if the choices ran out.
    """

    def __init__(self, outline: Block, choices: list[bool]) -> None:
        self._choices = iter(choices)
        self.trail: list[tuple[int, str]] = []
        self.ended: str | None = None
        try:
            self._block(outline)
            self.ended = "end"
        except Over:
            return
        except _Jump:
            self.ended = "end"

    def _choose(self) -> bool:
        try:
            return next(self._choices)
        except StopIteration:
            raise Over from None

    def _block(self, block: Block) -> None:
        for node in block:
            match node:
                case Step():
                    self._step(node)
                case Branch():
                    self._branch(node)
                case Loop():
                    self._loop(node)
                case End():
                    raise _Jump(node)

    def _step(self, step: Step) -> None:
        self.trail.append((step.line, ""))
        if step.verb == "finish":
            self.ended = "finish"
            raise Over

    def _branch(self, branch: Branch) -> None:
        if branch.decided_by:
            self._block(branch.then if self._decided(branch) != branch.negated else branch.otherwise)
            return
        answer = self._choose()
        asks = branch.asks
        said = "yes" if answer else "no"
        if asks is not None and asks.verb == "happened":
            self.trail.append((asks.line, said))
            if answer and asks.event == ABOUT.goal.event:
                self.ended = "goal"
                raise Over
        else:
            if asks is not None:
                self._step(asks)
            self.trail.append((branch.line, said))
        negated = asks is not None and branch.negated
        self._block(branch.then if answer != negated else branch.otherwise)

    def _decided(self, branch: Branch) -> bool:
        try:
            self._block(branch.decided_by)
        except _Jump as jump:
            if jump.answer is None:
                raise
            return jump.answer == "yes"
        raise AssertionError(branch)

    def _loop(self, loop: Loop) -> None:
        again, done = {"for": ("each", "done"), "while": ("yes", "no")}[loop.header.split()[0]]
        endless = loop.header == "while True"
        while True:
            answer = self._choose() or endless
            self.trail.append((loop.line, "" if endless else again if answer else done))
            if not answer:
                return
            try:
                self._block(loop.body)
            except _Jump as jump:
                if jump.kind == "return":
                    raise
                if jump.kind == "break":
                    return


def every_step(block: Block) -> Iterator[Step]:
    """Independent of the outline's own `steps`."""
    for node in block:
        match node:
            case Step():
                yield node
            case Branch(asks=asks, then=then, otherwise=otherwise, decided_by=decided_by):
                yield from [asks] if asks else []
                yield from every_step((*decided_by, *then, *otherwise))
            case Loop(body=body):
                yield from every_step(body)
