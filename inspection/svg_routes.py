"""Ways between boxes of a grid that cross no box: along lanes between columns and gaps between rows.

A lane is named by the column to its left, a gap by the row below it. Ways to the same box share a track in a lane or a
gap; ways to different ones that would lie on each other get tracks of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from inspection.diagram import Box, Diagram, Edge


@dataclass(frozen=True)
class Column:
    """Down the middle of a column, where nothing stands."""

    column: int


@dataclass(frozen=True)
class Row:
    """Along the middle of a row, beside the boxes."""

    row: int


@dataclass(frozen=True)
class Lane:
    lane: int
    to: str
    back: bool


@dataclass(frozen=True)
class Gap:
    """`entering`: it turns down into the box that it leads to, rather than away from the one that it comes from."""

    gap: int
    to: str
    entering: bool


Part: TypeAlias = Column | Row | Lane | Gap
Route: TypeAlias = tuple[Part, ...]


def route(edge: Edge, taken: frozenset[tuple[int, int]]) -> Route:
    """The parts of a way, upright and level ones in turn. `taken`: the row and column of each box."""
    source, target = edge.source, edge.target
    to = target.id
    leave = Gap(edge.turn, to, entering=False)
    lanes = [Lane(lane, to, back=False) for lane in edge.lanes]
    home = Lane(target.column - 1, to, back=True)
    enter: Route = (Gap(target.row, to, entering=True), Column(target.column))
    if edge.leaves == "left":
        return (Row(source.row), home, Row(target.row))
    if edge.leaves == "below":
        down = Column(source.column)
        if edge.back:
            return (down, leave, home, Row(target.row))
        if lanes and edge.turn < target.row:
            return (down, leave, lanes[-1], *enter)
        return (down,) if source.column == target.column else (down, *enter)
    beside = Row(source.row)
    if not lanes and not edge.back:
        return (beside, Column(target.column))
    if not lanes or not _clear(source, lanes[0].lane, taken):
        lanes.insert(0, Lane(source.column, to, back=False))
    if edge.back:
        return (beside, lanes[0], leave, home, Row(target.row))
    if len(lanes) == 1 or edge.turn >= target.row:
        return (beside, lanes[0], *enter)
    return (beside, lanes[0], leave, lanes[-1], *enter)


def _clear(box: Box, lane: int, taken: frozenset[tuple[int, int]]) -> bool:
    return not any((box.row, column) in taken for column in range(box.column + 1, lane + 1))


@dataclass(frozen=True)
class Tracks:
    """`places`: the track of each part, counted from the left or from above. `counts`: tracks by lane and by gap."""

    places: Mapping[Lane | Gap, int]
    lanes: Mapping[int, int]
    gaps: Mapping[int, int]


def tracks(routes: Iterable[tuple[Edge, Route]]) -> Tracks:
    spans: dict[Lane | Gap, list[int]] = defaultdict(list)
    for _, parts in routes:
        for index, part in enumerate(parts):
            if isinstance(part, Lane | Gap):
                around = (parts[index - 1], parts[index + 1])
                spans[part] += [_position(other) for other in around]
    extents = {part: (min(found), max(found)) for part, found in spans.items()}
    places: dict[Lane | Gap, int] = {}
    counts: dict[type, dict[int, int]] = {Lane: {}, Gap: {}}
    groups: dict[tuple[type, int], list[Lane | Gap]] = defaultdict(list)
    for part in extents:
        groups[type(part), part.lane if isinstance(part, Lane) else part.gap].append(part)
    for (kind, number), group in groups.items():
        near = [part for part in group if not _far(part)]
        far = [part for part in group if _far(part)]
        first, second = _nested(near, extents), _nested(far, extents)
        depth = 1 + max(first.values(), default=-1)
        total = depth + 1 + max(second.values(), default=-1)
        places |= first
        # The longest way back is the leftmost: the shortest lies next to the box that it comes back to.
        places |= {part: total - 1 - place if kind is Lane else depth + place for part, place in second.items()}
        counts[kind][number] = total
    return Tracks(places, counts[Lane], counts[Gap])


def _far(part: Lane | Gap) -> bool:
    return part.back if isinstance(part, Lane) else part.entering


def _nested(parts: Sequence[Lane | Gap], extents: Mapping[Lane | Gap, tuple[int, int]]) -> dict[Lane | Gap, int]:
    """Short ones first; a longer one outside of all that it runs beside."""
    places: dict[Lane | Gap, int] = {}
    for part in sorted(parts, key=lambda part: (extents[part][1] - extents[part][0], extents[part], part.to)):
        low, high = extents[part]
        beside = [place for other, place in places.items() if extents[other][0] <= high and low <= extents[other][1]]
        places[part] = 1 + max(beside, default=-1)
    return places


def _position(part: Part) -> int:
    """Where a part crosses a lane or a gap, in the order of the grid."""
    match part:
        case Column(column):
            return 2 * column
        case Row(row):
            return 2 * row
        case Lane(lane):
            return 2 * lane + 1
        case Gap(gap):
            return 2 * gap - 1


def routes_of(diagram: Diagram) -> list[tuple[Edge, Route]]:
    taken = frozenset((box.row, box.column) for box in diagram.boxes)
    return [(edge, route(edge, taken)) for edge in diagram.edges]
