"""Which loops a step is a way out of: there it comes once, whatever round it is."""

from __future__ import annotations

from collections.abc import Iterator

from inspection.outline import Block, Branch, End, Loop, Step
from inspection.returns import ends

Lines = frozenset[int]


def loops_left(outline: Block) -> dict[Step, Lines]:
    """The lines of the loops that are left for sure, by `finish`, `return` or `break`, once a step is come to."""
    return dict(_each(outline, (), frozenset()))


def _each(block: Block, around: tuple[int, ...], left: Lines) -> Iterator[tuple[Step, Lines]]:
    left |= _left(block, around)
    for node in block:
        match node:
            case Step():
                yield node, left
            case Branch():
                if node.asks is not None:
                    yield node.asks, left
                # A return in there is an answer, and goes on.
                yield from _each(node.decided_by, (), left)
                yield from _each(node.then, around, left)
                yield from _each(node.otherwise, around, left)
            case Loop():
                yield from _each(node.body, (*around, node.line), left)


def _left(block: Block, around: tuple[int, ...]) -> Lines:
    for node in block:
        match node:
            case End(kind="break"):
                return frozenset(around[-1:])
            case End(kind="continue"):
                return frozenset()
            case Step(verb="finish") | End(kind="return"):
                return frozenset(around)
            case Branch() if ends(node):
                return _left(node.then, around) & _left(node.otherwise, around)
    return frozenset()
