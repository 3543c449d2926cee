"""Texts as a reader sees them: their colour, what is behind it, and their size, by the inline styles that MJML writes.

What style sheets do is not seen: the colours of a dark scheme, say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from emails.html_tree import Element
from inspection.rendered.colours import BLACK, WHITE, Colour, UnknownColour, contrast, over, parse_colour

_LARGE, _LARGE_IF_BOLD = 24.0, 18.66
"""Pixels from which WCAG 2.2 counts a text as large."""
_LINK = Colour(0, 0, 238)
"""What browsers and email clients show a link in that says no colour."""
_BOLD_TAGS = frozenset({"b", "strong", "th", "h1", "h2", "h3", "h4", "h5", "h6"})
_PIXELS = {"px": 1.0, "pt": 4 / 3}
_AS_BEHIND = frozenset({"inherit", "initial", "none", "unset", "transparent"})
_SIZE = re.compile(r"(\d+\.?\d*|\.\d+)(px|pt|em|rem|%)")
_GRADIENT = re.compile(r"[\w-]*gradient\(.*")
_WORD = re.compile(r"[^\s(]+(?:\([^()]*\))?")


class SeenText(NamedTuple):
    """A text, its colour and what is behind it, neither of them clear."""

    words: str
    colour: Colour
    behind: Colour
    is_large: bool

    @property
    def contrast(self) -> float:
        return contrast(self.colour, self.behind)


@dataclass(frozen=True)
class _Look:
    """What an element hands down to those in it. `size` is in pixels."""

    colour: Colour = BLACK
    behind: Colour = WHITE
    size: float = 16.0
    is_bold: bool = False

    @property
    def is_large(self) -> bool:
        return self.size >= (_LARGE_IF_BOLD if self.is_bold else _LARGE)


def seen_texts(page: Element) -> list[SeenText]:
    """Every text that a reader sees. A colour that cannot be read counts as not written."""
    found: list[SeenText] = []
    left: list[tuple[Element | str, _Look]] = [(page, _Look())]
    while left:
        node, look = left.pop()
        if isinstance(node, Element):
            if not node.is_hidden:
                inner = _look(node, look)
                left += [(child, inner) for child in reversed(node.children)]
        elif look.size > 0 and (words := " ".join(node.split())):
            found.append(SeenText(words, over(look.colour, look.behind), look.behind, look.is_large))
    return found


def _look(element: Element, outer: _Look) -> _Look:
    inherited = outer.colour
    if element.tag == "a" and element.attributes.get("href") and element.style.get("color") != "inherit":
        inherited = _LINK
    painted = _known(painted_colour, element)
    return _Look(
        colour=_known(written_colour, element) or inherited,
        behind=over(painted, outer.behind) if painted else outer.behind,
        size=_size(element, outer.size),
        is_bold=_bold(element, outer),
    )


def _known(read: Callable[[Element], Colour | None], element: Element) -> Colour | None:
    try:
        return read(element)
    except UnknownColour:
        return None


def written_colour(element: Element) -> Colour | None:
    """The colour of the element's own text. Raises: UnknownColour."""
    written = element.style.get("color", "inherit")
    return None if written == "inherit" else parse_colour(written)


def painted_colour(element: Element) -> Colour | None:
    """The colour of the element's own background; an image is taken for blocked. Raises: UnknownColour."""
    written = element.style.get("background-color") or element.attributes.get("bgcolor", "").lower()
    if written:
        return None if written in _AS_BEHIND else parse_colour(written)
    words = _WORD.findall(_GRADIENT.sub("", element.style.get("background", "")))
    for word in words:
        try:
            return parse_colour(word)
        except UnknownColour:
            if len(words) == 1 and word not in _AS_BEHIND and not word.startswith("url("):
                raise
    return None


def _size(element: Element, outer: float) -> float:
    """The size of its texts; one in units of the window is taken for a usual one, which is never too lenient."""
    written = element.style.get("font-size", "1em" if "font" not in element.style else "16px")
    if found := _SIZE.fullmatch(written):
        number, unit = float(found[1]), found[2]
        by = {"em": outer, "%": outer / 100, "rem": 16.0, **_PIXELS}
        return number * by[unit]
    return 0.0 if written == "0" else 16.0


def _bold(element: Element, outer: _Look) -> bool:
    written = element.style.get("font-weight", "inherit")
    if written == "inherit":
        return outer.is_bold or element.tag in _BOLD_TAGS
    return int(written) >= 700 if written.isdecimal() else written in ("bold", "bolder")
