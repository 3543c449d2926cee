"""What a flow's journey is made of, as its source tells it: steps, branches, loops and ends, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Verb: TypeAlias = Literal[
    "send",
    "wait",
    "wait_until",
    "wait_for_local_time",
    "happened",
    "finish",
    "choose",
    "bracket",
    "update_contact",
    "set_lifecycle",
    "change_score",
    "set_owner",
    "note",
    "sunset",
    "hand_over",
    "ask",
    "task",
    "assign_lead",
]


@dataclass(frozen=True)
class Step:
    """One call of a verb. In `name` a loop's key stands in braces: `reminder-{week}`."""

    line: int
    verb: Verb
    name: str
    message: str | None = None
    """Of a send: the template's folder, in which what is computed stands in braces: `offer-{size}`."""
    event: str | None = None
    """Of a happened."""
    limit: str | None = None
    """Of a wait: its duration, moment or time-out, as the source has it."""
    words: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What may stand for a computed part of the message, by what is in its braces, where that is written down."""
    given: tuple[tuple[str, str], ...] = ()
    """Every other argument by its name, as the source has it."""

    def argument(self, name: str) -> str | None:
        """The source of one of `given`."""
        return dict(self.given).get(name)


@dataclass(frozen=True)
class Branch:
    """`asks` is the step whose answer decides, if the test is just that; `test` is the source of any other.

    `decided_by`: the method whose answer decides, if each of its ways out is an End with its answer.
    """

    line: int
    test: str
    asks: Step | None
    negated: bool
    then: Block
    otherwise: Block
    decided_by: Block = ()


@dataclass(frozen=True)
class Loop:
    line: int
    header: str
    body: Block


@dataclass(frozen=True)
class End:
    """A `return`, `break` or `continue`. `answer`: what is returned, if that is written out; `step`: what the step
    before it answers.
    """

    line: int
    kind: Literal["return", "break", "continue"]
    answer: Literal["yes", "no", "step"] | None = None


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
            yield from steps(node.decided_by)
            yield from steps(node.then)
            yield from steps(node.otherwise)
        elif isinstance(node, Loop):
            yield from steps(node.body)
