"""HTML as a tree, and what of it a reader sees. Compiled templates are read too: their Jinja is text and values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser

_HAS_NO_END = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_NOT_SHOWN = frozenset({"head", "script", "style", "template", "title"})
_HIDES = (("display", "none"), ("visibility", "hidden"), ("opacity", "0"))
_DECLARATION = re.compile(r"""(?:[^;"'(]|"[^"]*"|'[^']*'|\([^)]*\))+""")


@dataclass(eq=False)
class Element:
    """Children are in the document's order, and stay as parsed. Comments are left out, those for Outlook too."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @cached_property
    def style(self) -> dict[str, str]:
        """The inline declarations, in lower case; of those for one property the last."""
        pairs = (declaration.partition(":") for declaration in _DECLARATION.findall(self.attributes.get("style", "")))
        return {name.strip().lower(): _value(value) for name, _, value in pairs}

    @cached_property
    def is_hidden(self) -> bool:
        return self.tag in _NOT_SHOWN or any(self.style.get(name) == value for name, value in _HIDES)

    @cached_property
    def seen(self) -> list[Element | str]:
        """The elements and texts in it that a reader sees, as far as inline styles tell, in the document's order."""
        return self._below(lambda element: not element.is_hidden)

    def all(self, *tags: str) -> list[Element]:
        """The elements in it that have one of these tags, hidden ones too."""
        return [node for node in self._below(lambda _: True) if isinstance(node, Element) and node.tag in tags]

    def all_seen(self, *tags: str) -> list[Element]:
        return [node for node in self.seen if isinstance(node, Element) and node.tag in tags]

    @cached_property
    def words(self) -> str:
        """What is read in it, or of an image in its place, with single blanks."""
        return " ".join("".join(map(_said, self.seen)).split())

    def _below(self, is_wanted: Callable[[Element], bool]) -> list[Element | str]:
        found: list[Element | str] = []
        left = self.children[::-1]
        while left:
            node = left.pop()
            if isinstance(node, str):
                found.append(node)
            elif is_wanted(node):
                found.append(node)
                left += node.children[::-1]
        return found


def parse_html(html: str) -> Element:
    """The document, as an element without a tag. A tag that is never closed reaches to the end of its parent."""
    return _Builder(html).document


class _Builder(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.document = Element("")
        self._open = [self.document]
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in reversed(attrs)})  # the first of two counts
        self._open[-1].children.append(element)
        if tag not in _HAS_NO_END:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self._open):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def _value(written: str) -> str:
    return written.strip().lower().removesuffix("!important").rstrip()


def _said(node: Element | str) -> str:
    if isinstance(node, str):
        return node
    return node.attributes.get("alt", "") if node.tag == "img" else ""
