"""The drawing: nothing lies on anything else, whatever the flow's shape, and it can be read without seeing it."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import combinations, pairwise
from typing import TypeAlias
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from inspection.diagram import draw
from inspection.diagram_source import ReadFlow
from inspection.diagram_words import Words
from inspection.outline import Block
from inspection.svg import svg
from inspection.svg_layout import LABEL_SIZE, Area, Layout, lay_out
from inspection.svg_text import width_of, wrapped
from tests.inspection.outlines import ABOUT, outline, outlines
from workflows.onboarding import Onboarding

SVG = "{http://www.w3.org/2000/svg}"
Segment: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


def area_of(segment: Segment) -> Area:
    (x0, y0), (x1, y1) = segment
    return Area(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))


def overlap(one: Area, other: Area, by: float = 0.5) -> bool:
    across = min(one.right, other.right) - max(one.x, other.x)
    down = min(one.bottom, other.bottom) - max(one.y, other.y)
    return across > by and down > by


def on_one_line(one: Segment, other: Segment) -> bool:
    """Whether two segments lie on each other for more than a point."""
    a, b = area_of(one), area_of(other)
    across = min(a.right, b.right) - max(a.x, b.x)
    down = min(a.bottom, b.bottom) - max(a.y, b.y)
    return (abs(across) < 2 and down > 2 and a.width == b.width == 0) or (
        abs(down) < 2 and across > 2 and a.height == b.height == 0
    )


def check(layout: Layout) -> None:
    canvas = Area(0, 0, layout.width, layout.height)
    boxes = [placed.area for placed in layout.boxes]
    assert not [pair for pair in combinations([*boxes, layout.leaving.area], 2) if overlap(*pair)]
    segments = [(placed, segment) for placed in layout.edges for segment in pairwise(placed.points)]
    for placed, segment in segments:
        area = area_of(segment)
        assert 0 in (round(area.width, 6), round(area.height, 6)), f"{placed.edge} is slanted"
        thick = Area(area.x - 1, area.y - 1, area.width + 2, area.height + 2)
        assert not [box for box in layout.boxes if overlap(thick, box.area, by=1.5)], f"{placed.edge} crosses a box"
    for (one, first), (other, second) in combinations(segments, 2):
        if one.edge.target != other.edge.target:
            assert not on_one_line(first, second), f"{one.edge} lies on {other.edge}"
    labels = [
        Area(placed.label_at[0], placed.label_at[1] - 10, width_of(placed.edge.label, LABEL_SIZE), 12)
        for placed in layout.edges
        if placed.edge.label
    ]
    assert not [pair for pair in combinations(labels, 2) if overlap(*pair)]
    assert not [(label, box) for label in labels for box in boxes if overlap(label, box)]
    for inside in [*boxes, layout.leaving.area, *labels, *(area_of(segment) for _, segment in segments)]:
        assert canvas.x <= inside.x
        assert inside.right <= canvas.right
        assert canvas.y <= inside.y
        assert inside.bottom <= canvas.bottom


@settings(max_examples=300, derandomize=True)
@given(outlines())
def test_nothing_lies_on_anything_else(block: Block) -> None:
    check(lay_out(draw(ABOUT, block, Words({"pause": timedelta(days=7)}))))


@settings(max_examples=100, derandomize=True)
@given(st.text(max_size=120), st.integers(min_value=20, max_value=300))
def test_lines_fit_and_keep_every_word(text: str, width: int) -> None:
    lines = wrapped(text, 14, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(len(line) <= 1 or width_of(line, 14) <= width for line in lines)


@settings(max_examples=100, derandomize=True)
@given(outlines(), st.text(max_size=30))
def test_any_drawing_is_well_formed(block: Block, title: str) -> None:
    about = ABOUT.model_copy(update={"title": title})
    document = ElementTree.fromstring(svg(draw(about, block, Words({})), "any"))  # noqa: S314 (our own text)
    assert document.tag == f"{SVG}svg"


def test_it_is_told_in_words_and_fetches_nothing() -> None:
    text = svg(ReadFlow.of(Onboarding).diagram, "onboarding")
    document = ElementTree.fromstring(text)  # noqa: S314 (our own text)
    assert document.get("role") == "img"
    told = {element.get("id"): element.text or "" for element in document}
    title, description = (told[name] for name in str(document.get("aria-labelledby")).split())
    assert title == "Onboarding: from welcome to first success"
    assert "activated within 3 days (hand_after)? – no: need-a-hand; yes: goal reached." in description
    assert "unsubscribed, bounced, complained, erased, cancelled: the contact leaves" in description
    assert "prefers-color-scheme: dark" in text
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in text


def test_changes_and_lookups_are_small_boxes_and_people_are_marked() -> None:
    kinds = outline(["send", "set_lifecycle", "choose", "ask", "task", "assign_lead", "hand_over"])
    diagram = draw(ABOUT, kinds, Words({}))
    widths = {placed.box.kind: placed.area.width for placed in lay_out(diagram).boxes}
    assert widths["change"] == widths["lookup"] < widths["message"] == widths["approval"]
    text = svg(diagram, "any")
    for kind in ("change", "lookup", "approval", "task", "assignment", "handover"):
        assert text.count(f'class="sign {kind}"') == 1
        assert re.search(rf"\.{kind}\b[^}}]*fill: var", text)


def test_onboarding_is_drawn() -> None:
    layout = lay_out(ReadFlow.of(Onboarding).diagram)
    check(layout)
    assert [" ".join(placed.title) for placed in layout.boxes][:2] == ["enters", "welcome"]
