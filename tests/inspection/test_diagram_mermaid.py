"""The flowchart's text: of a grammar that Mermaid reads, whatever the flow's texts are."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from inspection.diagram import draw
from inspection.diagram_mermaid import mermaid
from inspection.diagram_source import ReadFlow
from inspection.diagram_words import Words
from inspection.outline import Block, Step
from tests.inspection.outlines import ABOUT, outline, outlines
from workflows.onboarding import Onboarding

_TEXT = r'"[^"`%<>|\\$]*(<br/>[^"`%<>|\\$]*)*"'
_BOX = re.compile(rf"  (n\d+|leaving)(\(\[|\[\[|\[/|\[|\(|\{{\{{|\{{|>){_TEXT}(\]\)|\]\]|\\\]|/\]|\]|\)|\}}\}}|\}})")
_SMALL = re.compile(r"  style (n\d+) fill:none,font-size:12px")
_EDGE = re.compile(rf"  (n\d+) -->(\|{_TEXT}\|)? (n\d+)")


def check(text: str) -> None:
    first, *lines, last = text.split("\n")
    assert (first, last) == ("flowchart TD", "  style leaving stroke-dasharray: 4 4")
    boxes = [found[1] for line in lines if (found := _BOX.fullmatch(line))]
    edges = [found for line in lines if (found := _EDGE.fullmatch(line))]
    small = [found[1] for line in lines if (found := _SMALL.fullmatch(line))]
    assert len(boxes) + len(edges) + len(small) == len(lines)
    assert set(small) <= set(boxes)
    assert len(set(boxes)) == len(boxes)
    assert {end for edge in edges for end in (edge[1], edge[edge.re.groups])} <= set(boxes)


@settings(max_examples=100, derandomize=True)
@given(outlines())
def test_any_shape_is_written(block: Block) -> None:
    check(mermaid(draw(ABOUT, block, Words({}))))


@settings(max_examples=200, derandomize=True)
@given(st.text(min_size=1, max_size=40))
def test_any_text_is_written(name: str) -> None:
    check(mermaid(draw(ABOUT, (Step(1, "send", name, message="end"),), Words({}))))


def test_words_and_signs_of_mermaid_are_texts_like_others() -> None:
    block = tuple(
        Step(line, "send", name) for line, name in enumerate(["end", 'a"b', "1. a", "- a", "%%{init}%%", "`a`"])
    )
    text = mermaid(draw(ABOUT, block, Words({})))
    check(text)
    assert 'n1["✉ end<br/>email"]' in text
    for written in ("a#34;b", "1. a", "#37;#37;{init}#37;#37;", "#96;a#96;"):
        assert written in text


def test_each_kind_has_its_shape_and_sign() -> None:
    text = mermaid(draw(ABOUT, outline(["ask", "task", "assign_lead", "hand_over", "sunset"]), Words({})))
    check(text)
    for line in (
        'n1[/"✓ step-1<br/>approval by nobody"\\]',
        'n2[/"☐ step-2<br/>for nobody, due in pause"/]',
        'n3[/"⚑ step-3<br/>',
        'n4>"⇒ step-4<br/>',
        'n5["✎ step-5<br/>no marketing until they act"]',
        "style n5 fill:none,font-size:12px",
    ):
        assert line in text


def test_onboarding_is_written_with_its_times_and_answers() -> None:
    text = mermaid(ReadFlow.of(Onboarding).diagram)
    check(text)
    for line in (
        'n2{{"activated within 3 days (hand_after)?"}}',
        'n2 -->|"no"| n3',
        '("◷ check-in-day<br/>until 14 days after entering (check_in_after)")',
        'leaving["at any step, at once:<br/>activated: the goal is reached<br/>',
    ):
        assert line in text
