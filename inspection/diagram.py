"""The process map of a flow: boxes in a grid and the ways between them, made from the journey's outline.

The main line runs down column 0. What happens only sometimes stands in columns to its right. Every box has its row and
column, so that a drawing of the map needs no search for a layout; what draws in another way may leave them aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from domain.events import LEAVING_EVENTS
from domain.flows import Exit, FlowType
from inspection.diagram_words import Kind, Words
from inspection.outline import Block, Branch, End, Loop, Step, steps

Leaves: TypeAlias = Literal["below", "right", "left"]
JOURNEY_END = "end of the journey"
_ENDLESS = ("while True", "while 1")


@dataclass(frozen=True)
class Box:
    """`line` and `step` tell where in the source it comes from; a start or an end comes from nowhere."""

    id: str
    kind: Kind
    title: str
    detail: str
    row: int
    column: int
    line: int | None = None
    step: str | None = None


@dataclass(frozen=True)
class Edge:
    """A way from a box to another one.

    `leaves` is the side on which it leaves. `lanes` are the gaps between columns that it takes, by the column to their
    left; `turn` is the row above which it may first go sideways.
    """

    source: Box
    target: Box
    label: str
    leaves: Leaves
    lanes: tuple[int, ...]
    turn: int

    @property
    def back(self) -> bool:
        return self.target.row <= self.source.row


@dataclass(frozen=True)
class Diagram:
    """`leaving` says what ends an enrollment wherever it is; `unreached` are steps that no way leads to."""

    title: str
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    leaving: tuple[str, ...]
    unreached: tuple[str, ...]


def draw(about: FlowType, outline: Block, words: Words) -> Diagram:
    """Draw any outline, also one that the checks refuse."""
    interrupts = {event: (f"left: {exit_}", "") for event, exit_ in LEAVING_EVENTS.items()}
    after = f"hand over to {about.goal.hand_over_to}" if about.goal.hand_over_to else ""
    interrupts |= dict.fromkeys(about.goal.events({}), ("goal reached", after))
    drawing = _Drawing(words, interrupts)
    start = drawing.box("start", "enters", "", 0, 0)
    drawn = drawing.block(outline, [_Open(start, turn=1)], 1, 0)
    ends = [*drawn.ends, *drawing.left_over(drawn.last)]
    if ends:
        drawing.connect(ends, drawing.box("end", JOURNEY_END, "", drawn.row, 0))
    return Diagram(about.title, tuple(drawing.boxes), tuple(drawing.edges), leaving(about), tuple(drawing.unreached))


def leaving(about: FlowType) -> tuple[str, ...]:
    """What ends an enrollment at once, at whatever step it is."""
    goal = about.goal
    after = f", and {goal.hand_over_to} takes the contact over" if goal.hand_over_to else ""
    named = f" (or what {goal.others_setting} names)" if goal.others_setting else ""
    return (
        f"{', '.join((goal.event, *goal.others))}{named}: the goal is reached{after}",
        f"{', '.join([*LEAVING_EVENTS, Exit.CANCELLED])}: the contact leaves",
    )


@dataclass(frozen=True)
class _Open:
    """A way that has left a box and has not come to another one yet."""

    source: Box
    label: str = ""
    leaves: Leaves = "below"
    lanes: tuple[int, ...] = ()
    turn: int = 0


@dataclass(frozen=True)
class _Drawn:
    """A block that is drawn: the ways out at its end, the first row below it, its last column."""

    ends: list[_Open]
    row: int
    last: int


@dataclass(frozen=True)
class _Jumps:
    header: Box
    breaks: list[_Open]
    continues: list[_Open]


@dataclass(frozen=True)
class _Answers:
    """The ways out of a method that is asked yes or no."""

    yes: list[_Open]
    no: list[_Open]


class _Drawing:
    def __init__(self, words: Words, interrupts: Mapping[str, tuple[str, str]]) -> None:
        """`interrupts`: title and detail of the end that an event leads to."""
        self.boxes: list[Box] = []
        self.edges: list[Edge] = []
        self.unreached: list[str] = []
        self._words = words
        self._interrupts = interrupts
        self._loops: list[_Jumps] = []
        self._returns: list[_Open] = []
        self._answers: list[_Answers] = []

    def box(
        self,
        kind: Kind,
        title: str,
        detail: str,
        row: int,
        column: int,
        line: int | None = None,
        step: str | None = None,
    ) -> Box:
        box = Box(f"n{len(self.boxes)}", kind, title, detail, row, column, line, step)
        self.boxes.append(box)
        return box

    def connect(self, ways: list[_Open], target: Box) -> None:
        for way in ways:
            self.edges.append(Edge(way.source, target, way.label, way.leaves, way.lanes, way.turn))

    def left_over(self, last: int) -> list[_Open]:
        """The ways that a `return` took."""
        return [_by(way, last) for way in self._returns]

    def block(self, nodes: Block, ways: list[_Open], row: int, column: int) -> _Drawn:
        """Draw nodes one below the other, from `row` on. Without a way to them they are left out."""
        last = column - 1
        for index, node in enumerate(nodes):
            if not ways:
                self.unreached += [step.name for step in steps(nodes[index:])]
                break
            match node:
                case Step():
                    drawn = self._step(node, ways, row, column)
                case Branch():
                    drawn = self._branch(node, ways, row, column)
                case Loop():
                    drawn = self._loop(node, ways, row, column)
                case End():
                    self._jump(node, ways)
                    drawn = _Drawn([], row, last)
            ways, row, last = drawn.ends, drawn.row, max(last, drawn.last)
        return _Drawn(ways, row, last)

    def _step(self, step: Step, ways: list[_Open], row: int, column: int) -> _Drawn:
        shown = self._words.step(step)
        box = self.box(shown.kind, shown.title, shown.detail, row, column, step.line, step.name)
        self.connect(ways, box)
        return _Drawn([] if step.verb == "finish" else [_Open(box, turn=row + 1)], row + 1, column)

    def _branch(self, branch: Branch, ways: list[_Open], row: int, column: int) -> _Drawn:
        if branch.decided_by:
            return self._decided(branch, ways, row, column)
        yes, no = branch.then, branch.otherwise
        if branch.asks is not None and branch.negated:
            yes, no = no, yes
        if branch.asks is not None and branch.asks.verb == "happened":
            title, detail = self._words.question(branch.asks)
            box = self.box("question", title, detail, row, column, branch.asks.line, branch.asks.name)
        else:
            if branch.asks is not None:
                drawn = self._step(branch.asks, ways, row, column)
                ways, row = drawn.ends, drawn.row
                if not ways:
                    self.unreached += [step.name for step in steps((*yes, *no))]
                    return drawn
                title = self._words.answer(branch.asks)
            else:
                title, turned = self._words.test(branch.test)
                yes, no = (no, yes) if turned else (yes, no)
            box = self.box("choice", title, "", row, column, branch.line)
        self.connect(ways, box)
        event = branch.asks.event if branch.asks is not None else None
        if event is not None and event in self._interrupts:
            return self._interrupted(box, event, yes, no)
        if not yes and not no:
            return _Drawn([_Open(box, "yes or no", turn=row + 1)], row + 1, column)
        straight, aside = sorted((("yes", yes), ("no", no)), key=lambda arm: (not _goes_on(arm[1]), bool(arm[1])))
        first = self.block(straight[1], [_Open(box, straight[0], turn=row + 1)], row + 1, column)
        inner = max(first.last, column)
        second = self.block(aside[1], [_Open(box, aside[0], "right", turn=row + 1)], row + 1, inner + 1)
        return _Drawn([*first.ends, *second.ends], max(first.row, second.row), max(inner, second.last))

    def _interrupted(self, box: Box, event: str, yes: Block, no: Block) -> _Drawn:
        """A question for an event that ends the enrollment: nobody comes to what is told for a yes."""
        self.unreached += [step.name for step in steps(yes)]
        drawn = self.block(no, [_Open(box, "no", turn=box.row + 1)], box.row + 1, box.column)
        aside = max(drawn.last, box.column) + 1
        end = self.box("end", *self._interrupts[event], box.row + 1, aside)
        self.connect([_Open(box, "yes", "right", turn=box.row + 1)], end)
        return _Drawn(drawn.ends, max(drawn.row, box.row + 2), aside)

    def _decided(self, branch: Branch, ways: list[_Open], row: int, column: int) -> _Drawn:
        """A method that is asked: its answers lead on from where it gives them."""
        answers = _Answers([], [])
        self._answers.append(answers)
        asked = self.block(branch.decided_by, ways, row, column)
        self._answers.pop()
        last, lowest = max(asked.last, column), max(box.row for box in self.boxes if box.column == column)

        def led(ways: list[_Open]) -> list[_Open]:
            return [way if falls(way) else _by(way, last) for way in ways]

        def falls(way: _Open) -> bool:
            """Whether nothing stands below in its column, so that whatever else comes there would run into it."""
            return way.leaves == "below" and (way.source.row, way.source.column) == (lowest, column)

        then, otherwise = (answers.no, answers.yes) if branch.negated else (answers.yes, answers.no)
        arms = [(then, branch.then), (otherwise, branch.otherwise)]
        arms.sort(key=lambda arm: (not any(map(falls, arm[0])), not arm[0], not _goes_on(arm[1]), bool(arm[1])))
        first = self.block(arms[0][1], led(arms[0][0]), asked.row, column)
        inner = max(last, first.last)
        second = self.block(arms[1][1], led(arms[1][0]), asked.row, inner + 1)
        return _Drawn([*first.ends, *second.ends], max(first.row, second.row), max(inner, second.last))

    def _loop(self, loop: Loop, ways: list[_Open], row: int, column: int) -> _Drawn:
        endless = loop.header in _ENDLESS
        again, done = ("", "") if endless else ("yes", "no") if loop.header.startswith("while ") else ("each", "done")
        title = "again and again" if endless else self._words.header(loop)
        header = self.box("loop", title, "", row, column, loop.line)
        self.connect(ways, header)
        jumps = _Jumps(header, [], [])
        self._loops.append(jumps)
        body = self.block(loop.body, [_Open(header, again, turn=row + 1)], row + 1, column)
        self._loops.pop()
        last = max(body.last, column)
        self.connect([*body.ends, *jumps.continues], header)
        ends = [_by(way, last) for way in jumps.breaks]
        if not endless:
            ends.append(_Open(header, done, "right", (last,), body.row))
        return _Drawn(ends, body.row, last)

    def _jump(self, end: End, ways: list[_Open]) -> None:
        if end.kind == "return" and end.answer and self._answers:
            (self._answers[-1].yes if end.answer == "yes" else self._answers[-1].no).extend(ways)
        elif end.kind == "return" or not self._loops:
            self._returns += ways
        elif end.kind == "break":
            self._loops[-1].breaks.extend(ways)
        else:
            header = self._loops[-1].header
            for way in ways:
                near = way.leaves == "right" and not way.lanes and way.source.column == header.column
                self._loops[-1].continues.append(replace(way, leaves="left") if near else way)


def _by(way: _Open, lane: int) -> _Open:
    """The same way, by a lane beside everything that it passes."""
    return way if lane in way.lanes else replace(way, lanes=(*way.lanes, lane))


def _goes_on(block: Block) -> bool:
    """Whether a way leads to what follows the block."""
    for node in block:
        match node:
            case End():
                return False
            case Step(verb="finish"):
                return False
            case Branch() if not _goes_on(node.then) and not _goes_on(node.otherwise):
                return False
            case Loop() if node.header in _ENDLESS and not _breaks(node.body):
                return False
    return True


def _breaks(block: Block) -> bool:
    return any(
        (isinstance(node, End) and node.kind == "break")
        or (isinstance(node, Branch) and (_breaks(node.then) or _breaks(node.otherwise)))
        for node in block
    )
