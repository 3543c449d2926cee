"""A process map as an SVG document of its own: no network, no script, light and dark, told in words too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import dist
from xml.sax.saxutils import escape

from inspection.diagram import Box, Diagram, Edge
from inspection.diagram_words import Kind
from inspection.svg_layout import (
    DETAIL_SIZE,
    HEADING_SIZE,
    LABEL_SIZE,
    LEAVING,
    LINE_HEIGHT,
    Area,
    Layout,
    Panel,
    PlacedBox,
    PlacedEdge,
    lay_out,
    look_of,
)

_RADIUS = 7
_STYLE = """
    .map { --ground: #ffffff; --ink: #1c2733; --soft: #566473; --way: #6b7a8a;
      --message: #e9f2fd; --message-edge: #2f6fbf; --wait: #fdf5e3; --wait-edge: #a06f12;
      --question: #f3edfc; --question-edge: #7a52c7; --loop: #e7f6ef; --loop-edge: #24805a;
      --people: #fdeef0; --people-edge: #b3405a; --handover: #e4f5f6; --handover-edge: #17798a;
      --change: #ffffff; --change-edge: #8b98a6; --end: #eef1f4; --end-edge: #566473;
      font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
    @media (prefers-color-scheme: dark) {
      .map { --ground: #12181f; --ink: #e8edf2; --soft: #a9b6c3; --way: #8393a3;
        --message: #15293f; --message-edge: #6aa8f0; --wait: #32280f; --wait-edge: #dcab4a;
        --question: #2a2040; --question-edge: #b394f0; --loop: #12302a; --loop-edge: #5cc79a;
        --people: #3a1c25; --people-edge: #f08ba0; --handover: #0f2f35; --handover-edge: #5cc3d3;
        --change: #171f27; --change-edge: #74838f; --end: #222b35; --end-edge: #a9b6c3; } }
    .ground { fill: var(--ground); } text { fill: var(--ink); }
    .title { font-weight: 600; } .detail, .label { fill: var(--soft); }
    .label { paint-order: stroke; stroke: var(--ground); stroke-width: 4px; stroke-linejoin: round; }
    .way { fill: none; stroke: var(--way); stroke-width: 1.5; } .arrow { fill: var(--way); }
    .shape, .sign { stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round; } .sign { fill: none; }
    .message { fill: var(--message); stroke: var(--message-edge); }
    .wait { fill: var(--wait); stroke: var(--wait-edge); }
    .question, .choice { fill: var(--question); stroke: var(--question-edge); }
    .loop { fill: var(--loop); stroke: var(--loop-edge); }
    .approval, .task, .assignment { fill: var(--people); stroke: var(--people-edge); }
    .handover { fill: var(--handover); stroke: var(--handover-edge); }
    .change, .lookup { fill: var(--change); stroke: var(--change-edge); }
    .start, .finish, .end { fill: var(--end); stroke: var(--end-edge); }
    .leaving { fill: none; stroke: var(--soft); stroke-dasharray: 5 4; }
"""
_SIGNS: Mapping[Kind, str] = {
    "message": "M-9 -6.5h18v13h-18z M-9 -6l9 7l9 -7",
    "wait": "M-8 0a8 8 0 1 0 16 0a8 8 0 1 0 -16 0 M0 -5v5l3.5 2.5",
    "loop": "M7 -3.5a8 8 0 1 0 1 4.5 M8 -8v5h-5",
    "approval": "M8.6 -1a8.6 8.6 0 1 1 -4 -6.6 M-3.5 -1l3.5 3.5l8.5 -9",
    "task": "M-7 -6.5h14v15h-14z M-3 -8.5h6v4h-6z M-3.5 2l2.5 2.5l4.5 -5",
    "assignment": "M-4 -4.5a4 4 0 1 0 8 0a4 4 0 1 0 -8 0 M-8 8.5c0 -5 3.5 -7 8 -7s8 2 8 7",
    "handover": "M-1 -8h-7v16h7 M-3 0h11.5 M4.5 -4l4 4l-4 4",
    "change": "M-7.5 7.5l1 -4.5l9.5 -9.5l3.5 3.5l-9.5 9.5z M0.5 -4l3.5 3.5",
    "lookup": "M4 -1.5a5.5 5.5 0 1 0 -11 0a5.5 5.5 0 1 0 11 0 M2.5 2.5l5.5 5.5",
}
"""Drawn around the middle of the sign."""


def svg(diagram: Diagram, flow: str) -> str:
    """Write a document without an end of line at its end. `flow` keeps its ids apart from those of other maps."""
    layout = lay_out(diagram)
    return "\n".join(_document(diagram, layout, f"map-{flow}"))


def _document(diagram: Diagram, layout: Layout, name: str) -> Iterator[str]:
    width, height = _number(layout.width), _number(layout.height)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="map" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" aria-labelledby="{_attribute(name)}-title {_attribute(name)}-desc">'
    )
    yield f'  <title id="{_attribute(name)}-title">{_text(diagram.title)}</title>'
    yield f'  <desc id="{_attribute(name)}-desc">{_text(described(diagram))}</desc>'
    yield f"  <style>{_STYLE}  </style>"
    yield f'  <rect class="ground" width="{width}" height="{height}"/>'
    for index, line in enumerate(layout.heading):
        yield _line(line, "title", HEADING_SIZE, 24, 24 + 16 + index * 24)
    for placed in layout.edges:
        yield _way(placed)
    for placed_box in layout.boxes:
        yield from _box(placed_box)
    for placed in layout.edges:
        if placed.edge.label:
            yield _line(placed.edge.label, "label", LABEL_SIZE, *placed.label_at)
    yield from _panel(layout.leaving)
    yield "</svg>"


def described(diagram: Diagram) -> str:
    """The whole map in sentences, for who does not see it."""
    ways: dict[Box, list[Edge]] = {box: [] for box in diagram.boxes}
    for edge in diagram.edges:
        ways[edge.source].append(edge)
    told = [_told(box, edges) for box, edges in ways.items()]
    return " ".join([*told, f"{LEAVING} {'; '.join(diagram.leaving)}."])


def _told(box: Box, edges: list[Edge]) -> str:
    what = f"{box.title}, {box.detail}" if box.detail else box.title
    on = [f"{edge.label}: {edge.target.title}" if edge.label else f"then {edge.target.title}" for edge in edges]
    return f"{what}{' – ' if on else ''}{'; '.join(on)}."


def _way(placed: PlacedEdge) -> str:
    points = placed.points
    (x0, y0), (x1, y1) = points[-2:]
    length = dist((x0, y0), (x1, y1)) or 1
    along, across = ((x1 - x0) / length, (y1 - y0) / length), ((y0 - y1) / length, (x1 - x0) / length)
    base = (x1 - 8 * along[0], y1 - 8 * along[1])
    wings = [(base[0] + side * 4 * across[0], base[1] + side * 4 * across[1]) for side in (1, -1)]
    arrow = " ".join(_point(*point) for point in ((x1, y1), *wings))
    return f'  <path class="way" d="{_rounded(points)}"/><polygon class="arrow" points="{arrow}"/>'


def _rounded(points: tuple[tuple[float, float], ...]) -> str:
    path = [f"M{_point(*points[0])}"]
    for (before, corner), (_, after) in pairwise(pairwise(points)):
        radius = min(_RADIUS, dist(before, corner) / 2, dist(corner, after) / 2)
        path.append(f"L{_point(*_towards(corner, before, radius))}")
        path.append(f"Q{_point(*corner)} {_point(*_towards(corner, after, radius))}")
    return " ".join([*path, f"L{_point(*points[-1])}"])


def _towards(start: tuple[float, float], end: tuple[float, float], length: float) -> tuple[float, float]:
    share = length / (dist(start, end) or 1)
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _box(placed: PlacedBox) -> Iterator[str]:
    kind, area, look = placed.box.kind, placed.area, look_of(placed.box.kind)
    yield f'  <g data-kind="{kind}">'
    yield f"    {_shape(kind, area)}"
    if kind in _SIGNS:
        middle = f"translate({_number(area.x + look.starts / 2 + 1)} {_number(area.y + area.height / 2)})"
        scaled = f"{middle} scale({look.sign:g})" if look.sign != 1 else middle
        yield f'    <path class="sign {kind}" style="fill:none" transform="{scaled}" d="{_SIGNS[kind]}"/>'
    lines = [(line, "title", look.title) for line in placed.title]
    lines += [(line, "detail", look.detail) for line in placed.detail]
    top = area.y + (area.height - len(lines) * look.line_height) / 2
    for index, (line, style, size) in enumerate(lines):
        y = top + (index + 0.75) * look.line_height
        if kind in _SIGNS:
            yield "  " + _line(line, style, size, area.x + look.starts, y)
        else:
            yield "  " + _line(line, style, size, area.x + area.width / 2, y, anchor="middle")
    yield "  </g>"


def _shape(kind: Kind, area: Area) -> str:
    if kind in ("question", "choice"):
        middle = area.y + area.height / 2
        corners = (
            (area.x, middle),
            (area.x + 16, area.y),
            (area.right - 16, area.y),
            (area.right, middle),
            (area.right - 16, area.bottom),
            (area.x + 16, area.bottom),
        )
        return f'<polygon class="shape {kind}" points="{" ".join(_point(*corner) for corner in corners)}"/>'
    radius = area.height / 2 if kind in ("start", "finish", "end") else 14.0 if kind == "wait" else 4.0
    return _rectangle(f"shape {kind}", area, radius)


def _panel(panel: Panel) -> Iterator[str]:
    yield f"  {_rectangle('leaving', panel.area, 6)}"
    for index, line in enumerate((LEAVING, *panel.lines)):
        style = "detail" if index else "title"
        yield _line(line, style, DETAIL_SIZE, panel.area.x + 16, panel.area.y + 11 + 13 + index * LINE_HEIGHT)


def _rectangle(style: str, area: Area, radius: float) -> str:
    place = f'x="{_number(area.x)}" y="{_number(area.y)}" width="{_number(area.width)}" height="{_number(area.height)}"'
    return f'<rect class="{style}" {place} rx="{_number(radius)}"/>'


def _line(text: str, style: str, size: float, x: float, y: float, anchor: str = "start") -> str:
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    place = f'x="{_number(x)}" y="{_number(y)}"'
    return f'  <text class="{style}" font-size="{_number(size)}" {place}{anchored}>{_text(text)}</text>'


def _point(x: float, y: float) -> str:
    return f"{_number(x)},{_number(y)}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    """XML knows no control characters, however they are written."""
    return escape("".join(sign if sign.isprintable() else "�" for sign in text))


def _attribute(text: str) -> str:
    return escape(text, {'"': "&quot;"})
