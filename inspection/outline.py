"""What a flow's journey is made of, as its source tells it: steps, branches, loops and ends, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Verb: TypeAlias = Literal["send", "wait", "wait_until", "happened", "finish"]


@dataclass(frozen=True)
class Step:
    """One call of a verb. In `name` a loop's key stands in braces: `reminder-{week}`."""

    line: int
    verb: Verb
    name: str
    message: str | None = None
    """Of a send: the template's folder."""
    event: str | None = None
    """Of a happened."""
    limit: str | None = None
    """Of a wait: its duration, moment or time-out, as the source has it."""


@dataclass(frozen=True)
class Branch:
    """`asks` is the step whose answer decides, if the test is just that; `test` is the source of any other."""

    line: int
    test: str
    asks: Step | None
    negated: bool
    then: Block
    otherwise: Block


@dataclass(frozen=True)
class Loop:
    line: int
    header: str
    body: Block


@dataclass(frozen=True)
class End:
    """A `return`, `break` or `continue`."""

    line: int
    kind: Literal["return", "break", "continue"]


Node: TypeAlias = Step | Branch | Loop | End
Block: TypeAlias = tuple[Node, ...]


def steps(block: Block) -> Iterator[Step]:
    """Every step, in the order of the source."""
    for node in block:
        if isinstance(node, Step):
            yield node
        elif isinstance(node, Branch):
            if node.asks is not None:
                yield node.asks
            yield from steps(node.then)
            yield from steps(node.otherwise)
        elif isinstance(node, Loop):
            yield from steps(node.body)
