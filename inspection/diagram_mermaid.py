"""A process map as a Mermaid flowchart, which GitHub and many editors draw."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from inspection.diagram import Box, Diagram
from inspection.diagram_words import Kind

_SHAPES: Mapping[Kind, tuple[str, str]] = {
    "start": ("([", "])"),
    "message": ("[", "]"),
    "wait": ("(", ")"),
    "question": ("{{", "}}"),
    "choice": ("{", "}"),
    "loop": ("[[", "]]"),
    "approval": ("[/", "\\]"),
    "task": ("[/", "/]"),
    "assignment": ("[/", "/]"),
    "handover": (">", "]"),
    "change": ("[", "]"),
    "lookup": ("[", "]"),
    "finish": ("([", "])"),
    "end": ("([", "])"),
}
_SIGNS: Mapping[Kind, str] = {
    "message": "✉ ",
    "wait": "◷ ",
    "loop": "↻ ",
    "approval": "✓ ",
    "task": "☐ ",
    "assignment": "⚑ ",
    "handover": "⇒ ",
    "change": "✎ ",
    "lookup": "◇ ",
    "finish": "■ ",
    "end": "■ ",
}
_SMALL: tuple[Kind, ...] = ("change", "lookup")
_UNSAFE = re.compile(r"[^\w ,.:?!()\[\]{}'=+*/✉◷↻✓☐⚑⇒✎◇■…–-]")
"""Everything else is written by its number: quotes end a text, `%%` begins a comment, backticks begin Markdown."""
_LIST_MARK = re.compile(r"\d+\.|-")
"""At the beginning of a text Mermaid takes these for a list, and refuses it."""

_WORDS_OF_MERMAID = re.compile(r"(?<=\\)(?=n)|(?<=\$)(?=\$)|(?<=\bfa)(?=\w?:)|(?<=\bmdi)(?=:)")
"""A line break, a formula and icons, which Mermaid finds however they are written: a sign of no width parts them."""
_NO_WIDTH = "\u2060"


def mermaid(diagram: Diagram) -> str:
    """Write a flowchart, without a line end at its end. Ids are ours: a step may be called like a word of Mermaid."""
    return "\n".join(["flowchart TD", *(f"  {line}" for line in _lines(diagram))])


def _lines(diagram: Diagram) -> Iterator[str]:
    for box in diagram.boxes:
        yield _box(box)
    for edge in diagram.edges:
        label = f"|{_text(edge.label)}|" if edge.label else ""
        yield f"{edge.source.id} -->{label} {edge.target.id}"
    for box in diagram.boxes:
        if box.kind in _SMALL:
            yield f"style {box.id} fill:none,font-size:12px"
    yield f"leaving[{_text('at any step, at once:', *diagram.leaving)}]"
    yield "style leaving stroke-dasharray: 4 4"


def _box(box: Box) -> str:
    opening, closing = _SHAPES[box.kind]
    return f"{box.id}{opening}{_text(_SIGNS.get(box.kind, '') + box.title, box.detail)}{closing}"


def _text(*lines: str) -> str:
    return f'"{"<br/>".join(_escaped(line) for line in lines if line)}"'


def _escaped(line: str) -> str:
    line = _WORDS_OF_MERMAID.sub(_NO_WIDTH, line)
    mark = _LIST_MARK.match(line)
    return "".join(
        f"#{ord(sign)};" if _UNSAFE.match(sign) or (mark and mark.end() == index) else sign
        for index, sign in enumerate(line, start=1)
    )
