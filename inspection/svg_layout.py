"""Where everything of a process map stands in a drawing, in pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from inspection.diagram import Box, Diagram, Edge
from inspection.diagram_words import Kind
from inspection.svg_routes import Column, Gap, Lane, Part, Route, Row, Tracks, routes_of, tracks
from inspection.svg_text import width_of, wrapped

BOX_WIDTH = 236
DETAIL_SIZE, LABEL_SIZE, HEADING_SIZE = 12.0, 12.0, 17.0
LINE_HEIGHT = 18
_PADDING = 11
_MARGIN = 24
_TRACK = 13
_LANE_LEFT, _LANE_LEFT_OF_LABEL, _LANE_RIGHT, _LANE_RIGHT_OF_LABEL = 16, 44, 20, 40
_GAP_ABOVE, _GAP_ABOVE_OF_LABEL, _GAP_BELOW = 12, 20, 18
_STARTS = 16


@dataclass(frozen=True)
class Look:
    """How large a box is drawn. `starts`: where its text may start, from its left side: behind its sign, if it has one,
    or inside its slanted sides.
    """

    starts: int = _STARTS
    ends: int = _STARTS
    width: int = BOX_WIDTH
    title: float = 14.0
    detail: float = DETAIL_SIZE
    line_height: int = LINE_HEIGHT
    padding: int = _PADDING
    sign: float = 1.0


_SIGNED = Look(starts=42)
_SLANTED = Look(starts=26, ends=26)
_SMALL = Look(starts=34, ends=12, width=196, title=12.5, detail=11.5, line_height=16, padding=7, sign=0.8)
_PLAIN = Look()
_LOOKS: Mapping[Kind, Look] = {
    "message": _SIGNED,
    "wait": _SIGNED,
    "loop": _SIGNED,
    "approval": _SIGNED,
    "task": _SIGNED,
    "assignment": _SIGNED,
    "handover": _SIGNED,
    "question": _SLANTED,
    "choice": _SLANTED,
    "change": _SMALL,
    "lookup": _SMALL,
}


def look_of(kind: Kind) -> Look:
    return _LOOKS.get(kind, _PLAIN)


@dataclass(frozen=True)
class Area:
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True)
class PlacedBox:
    box: Box
    area: Area
    title: tuple[str, ...]
    detail: tuple[str, ...]


@dataclass(frozen=True)
class PlacedEdge:
    """`label_at` is where the text of the label starts, on its base line."""

    edge: Edge
    points: tuple[tuple[float, float], ...]
    label_at: tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """Text that stands beside the flow."""

    area: Area
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    width: float
    height: float
    heading: tuple[str, ...]
    boxes: tuple[PlacedBox, ...]
    edges: tuple[PlacedEdge, ...]
    leaving: Panel


LEAVING = "At any step, at once:"


def lay_out(diagram: Diagram) -> Layout:
    routes = routes_of(diagram)
    grid = _Grid(diagram, routes, tracks(routes))
    width = max(grid.right + _MARGIN, BOX_WIDTH + 2 * _MARGIN)
    heading = tuple(wrapped(diagram.title, HEADING_SIZE, width - 2 * _MARGIN))
    grid.start_below(_MARGIN + len(heading) * 24 + 12)
    text_width = width - 2 * _MARGIN - 2 * _STARTS
    lines = [line for text in diagram.leaving for line in wrapped(text, DETAIL_SIZE, text_width)]
    panel = Area(_MARGIN, grid.bottom + 22, width - 2 * _MARGIN, (len(lines) + 1) * LINE_HEIGHT + 2 * _PADDING)
    return Layout(
        width=width,
        height=panel.bottom + _MARGIN,
        heading=heading,
        boxes=tuple(grid.boxes()),
        edges=tuple(grid.edges()),
        leaving=Panel(panel, tuple(lines)),
    )


class _Grid:
    """Turns columns, rows, lanes and gaps into pixels."""

    def __init__(self, diagram: Diagram, routes: list[tuple[Edge, Route]], used: Tracks) -> None:
        self._routes = routes
        self._tracks = used
        self._texts = {box.id: _texts(box) for box in diagram.boxes}
        self._boxes = diagram.boxes
        self._heights: dict[int, float] = defaultdict(float)
        for box in diagram.boxes:
            self._heights[box.row] = max(self._heights[box.row], self._height(box))
        self._labelled_lanes = {edge.source.column for edge, _ in routes if edge.leaves == "right" and edge.label}
        self._labelled_from_right = {edge.source.column - 1 for edge, _ in routes if edge.leaves == "left"}
        self._labelled_gaps = {edge.source.row + 1 for edge, _ in routes if edge.leaves == "below" and edge.label}
        self._columns = 1 + max(box.column for box in diagram.boxes)
        self._rows = 1 + max(box.row for box in diagram.boxes)
        self._lane_x: dict[int, float] = {}
        self._column_x: dict[int, float] = {}
        x = float(_MARGIN - (0 if -1 in used.lanes else _LANE_RIGHT))
        for column in range(-1, self._columns):
            if column >= 0:
                self._column_x[column] = x
                x += BOX_WIDTH
            x += _LANE_LEFT_OF_LABEL if column in self._labelled_lanes else _LANE_LEFT if column >= 0 else 0
            self._lane_x[column] = x
            x += used.lanes.get(column, 0) * _TRACK
            self.right = x
            x += _LANE_RIGHT_OF_LABEL if column in self._labelled_from_right else _LANE_RIGHT
        self._gap_y: dict[int, float] = {}
        self._row_y: dict[int, float] = {}

    def start_below(self, y: float) -> None:
        for row in range(self._rows + 1):
            y += 0 if row == 0 else _GAP_ABOVE_OF_LABEL if row in self._labelled_gaps else _GAP_ABOVE
            self._gap_y[row] = y
            used = self._tracks.gaps.get(row, 0)
            if row < self._rows:
                y += used * _TRACK + (0 if row == 0 else _GAP_BELOW)
                self._row_y[row] = y
                y += self._heights[row]
            elif used:
                y += used * _TRACK
            else:
                y -= _GAP_ABOVE
        self.bottom = y

    def boxes(self) -> list[PlacedBox]:
        return [PlacedBox(box, self._area(box), *self._texts[box.id]) for box in self._boxes]

    def edges(self) -> list[PlacedEdge]:
        return [PlacedEdge(edge, self._points(edge, parts), self._label_at(edge)) for edge, parts in self._routes]

    def _area(self, box: Box) -> Area:
        height, width = self._height(box), look_of(box.kind).width
        y = self._row_y[box.row] + (self._heights[box.row] - height) / 2
        return Area(self._column_x[box.column] + (BOX_WIDTH - width) / 2, y, width, height)

    def _height(self, box: Box) -> float:
        (title, detail), look = self._texts[box.id], look_of(box.kind)
        return (len(title) + len(detail)) * look.line_height + 2 * look.padding

    def _points(self, edge: Edge, parts: Route) -> tuple[tuple[float, float], ...]:
        source, target = self._area(edge.source), self._area(edge.target)
        middle = source.x + source.width / 2
        first = (middle, source.bottom)
        if edge.leaves != "below":
            first = (source.right if edge.leaves == "right" else source.x, source.y + source.height / 2)
        last = (target.x + target.width / 2, target.y)
        if isinstance(parts[-1], Row):
            last = (target.x, target.y + target.height / 2)
        corners = [self._corner(one, other) for one, other in pairwise(parts)]
        return (first, *corners, last)

    def _corner(self, one: Part, other: Part) -> tuple[float, float]:
        """Where an upright part and a level one cross."""
        upright, level = (one, other) if isinstance(one, Column | Lane) else (other, one)
        return self._along(upright), self._along(level)

    def _along(self, part: Part) -> float:
        """The x of an upright part, the y of a level one."""
        match part:
            case Column(column):
                return self._column_x[column] + BOX_WIDTH / 2
            case Row(row):
                return self._row_y[row] + self._heights[row] / 2
            case Lane(lane):
                return self._lane_x[lane] + (self._tracks.places[part] + 0.5) * _TRACK
            case Gap(gap):
                return self._gap_y[gap] + (self._tracks.places[part] + 0.5) * _TRACK

    def _label_at(self, edge: Edge) -> tuple[float, float]:
        area = self._area(edge.source)
        if edge.leaves == "below":
            return area.x + area.width / 2 + 7, area.bottom + 15
        y = area.y + area.height / 2 - 5
        return (area.right + 6, y) if edge.leaves == "right" else (area.x - 6 - width_of(edge.label, LABEL_SIZE), y)


def _texts(box: Box) -> tuple[tuple[str, ...], tuple[str, ...]]:
    look = look_of(box.kind)
    width = look.width - look.starts - look.ends
    return tuple(wrapped(box.title, look.title, width)), tuple(wrapped(box.detail, look.detail, width))
