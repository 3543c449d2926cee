"""What can be wrong with a template as MJML. Problems are one line each, naming the file and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from html.parser import HTMLParser
from typing import NamedTuple

# Where MJML stops, and HTML or text begins.
_HOLDS_HTML = frozenset({"mj-accordion-text", "mj-accordion-title", "mj-button", "mj-navbar-link", "mj-raw"})
_HOLDS_HTML |= {"mj-social-element", "mj-table", "mj-text"}
_HOLDS_TEXT = frozenset({"mj-preview", "mj-style", "mj-title"})
# mrml, on which mjml-python rests, lets any other tag through unseen. mj-font is left out: it loads from elsewhere.
_HEAD = frozenset({"mj-all", "mj-attributes", "mj-breakpoint", "mj-class", "mj-head"})
_GRID = frozenset({"mj-body", "mj-column", "mj-group", "mj-hero", "mj-section", "mj-wrapper"})
_CONTENT = frozenset({"mj-accordion", "mj-accordion-element", "mj-carousel", "mj-carousel-image", "mj-navbar"})
_MJML = _HOLDS_HTML | _HOLDS_TEXT | _HEAD | _GRID | _CONTENT | {"mj-divider", "mj-image", "mj-social", "mj-spacer"}
_MJML |= {"mjml", "mj-include"}
_NEEDS_ALT = frozenset({"img", "mj-image", "mj-carousel-image"})

_LOADED = re.compile(
    r"""(?:\b(?:src|srcset|background)\s*=|\burl\(|@import|<link\b[^>]*?\bhref\s*=)\s*["']?((?:https?:)?//[^"'\s)>]+)""",
    re.IGNORECASE,
)
_INCLUDE = re.compile(r"""<mj-include\s+path\s*=\s*["'](?P<path>[^"']+)["']\s*(/>|>\s*</mj-include\s*>)""")


class Source(NamedTuple):
    """A template file: its path from the project's root, and its text."""

    file: str
    text: str


class _Lint(HTMLParser):
    """Walks one file; afterwards `problems`, `includes` (line and path) and `lang` are complete."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.includes: list[tuple[int, str]] = []
        self.lang: str | None = None
        self._file = source.file
        self._open: list[str] = []
        self.feed(source.text)
        self.close()
        if self._open:
            self._report(f"never closes <{self._open[-1]}>: add </{self._open[-1]}>")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check(tag, dict(attrs))
        if tag.startswith("mj"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if not tag.startswith("mj"):
            return
        if self._inside == tag:
            self._open.pop()
        else:
            self._report(f"closes <{tag}>, which is not the tag open there: mend the nesting")

    def handle_data(self, data: str) -> None:
        if data.strip() and self._inside not in _HOLDS_HTML | _HOLDS_TEXT:
            blank_lines = data[: len(data) - len(data.lstrip())].count("\n")
            problem = f"has text outside mj-text ({data.split()[0]} …): move it into mj-text, or Jinja into mj-raw"
            self._report(problem, below=blank_lines)

    @property
    def _inside(self) -> str:
        return self._open[-1] if self._open else ""

    def _check(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag.startswith("mj") and tag not in _MJML:
            self._report(f"has <{tag}>, which is not a tag that may be used: mend its name or delete it")
        elif tag not in _MJML and self._inside not in _HOLDS_HTML:
            self._report(f"has the HTML tag <{tag}> outside mj-text: move it into mj-text, mj-table or mj-raw")
        elif tag in _MJML and self._inside in _HOLDS_HTML | _HOLDS_TEXT:
            self._report(f"has <{tag}> inside <{self._inside}>, which holds no MJML: move it out")
        if tag in _NEEDS_ALT and "alt" not in attributes:
            self._report(f'has <{tag}> without alt: describe the image, or write alt="" if it only decorates')
        if tag == "mj-include":
            self.includes.append((self.getpos()[0], attributes.get("path") or ""))
        if tag == "mjml":
            self.lang = attributes.get("lang")

    def _report(self, problem: str, below: int = 0) -> None:
        self.problems.append(f"{self._file}:{self.getpos()[0] + below} {problem}")


@lru_cache
def _linted(source: Source) -> _Lint:
    return _Lint(source)


def body_problems(body: Source, locale: str, parts: Mapping[str, Source]) -> list[str]:
    """Check a body's MJML, and that of the layout's parts that it includes."""
    lint = _linted(body)
    problems = [*lint.problems]
    if lint.lang != locale:
        problems.append(f'{body.file} does not say its language: begin it with <mjml lang="{locale}">')
    for line, path in lint.includes:
        if path not in parts:
            where = f"neither layout/ nor layout/{locale}/ has"
            problems.append(f"{body.file}:{line} includes {path!r}, which {where}: add it there or mend the path")
    for part in included(body, parts):
        inner = _linted(part)
        problems += inner.problems
        for line, path in inner.includes:
            problems.append(f"{part.file}:{line} includes {path!r}, but is a part itself: include it in the body")
    return problems


def included(body: Source, parts: Mapping[str, Source]) -> list[Source]:
    return [parts[path] for _, path in _linted(body).includes if path in parts]


def expanded(body: Source, parts: Mapping[str, Source]) -> str:
    """The body with each part in its place: left to the compiler, a part would not get the width of the page."""
    return _INCLUDE.sub(lambda include: parts[include["path"]].text, body.text)


def loading_problems(file: str, html: str) -> list[str]:
    """Check that the compiled body loads nothing from an address that is written in it."""
    return [
        f"{file} loads {address} when opened: delete it, or serve it from {{{{ sender.website }}}}"
        for address in dict.fromkeys(_LOADED.findall(html))
    ]
