"""Where a message leads to, and what it loads."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from emails.html_tree import Element
from inspection.faults import Fault
from inspection.rendered.reading import Reading, ReadMessage

_OPENS_A_PROGRAM = frozenset({"mailto", "tel"})


def links_are_absolute(message: ReadMessage) -> Iterator[Fault]:
    """An email has no address of its own that a link could be relative to, and nobody else may read along."""
    for reading in message.readings:
        for link in links(reading):
            address = link.attributes["href"]
            if problem := _problem(address, _OPENS_A_PROGRAM):
                what = f"links to {address!r} by “{link.words}”, which {problem}"
                mend = "write it as https://…, mailto:… or tel:…, such as {{ sender.website }}/…"
                yield message.fault(what, mend, address, link.words)


def images_are_absolute(message: ReadMessage) -> Iterator[Fault]:
    """Nothing travels with an email, and Gmail shows no image that is written into it."""
    for reading in message.readings:
        for element in reading.page.all_seen("img", "table", "td"):
            address = element.attributes.get("src" if element.tag == "img" else "background")
            if address is not None and (problem := _problem(address, frozenset())):
                what = f"shows the image {address[:60]!r}, which {problem}"
                yield message.fault(what, "serve it at an address such as {{ sender.website }}/…", address, "<img")


def links_have_words(message: ReadMessage) -> Iterator[Fault]:
    """WCAG 2.2, 2.4.4. What an image in the link says counts."""
    for reading in message.readings:
        for link in links(reading):
            if not link.words:
                address = link.attributes["href"]
                what, mend = f"links to {address!r} without a word", "say in the link, or in its image's alt, whereto"
                yield message.fault(what, mend, address)


def links(reading: Reading) -> list[Element]:
    """Those that a reader sees."""
    return [link for link in reading.page.all_seen("a") if "href" in link.attributes]


def _problem(address: str, others: frozenset[str]) -> str:
    """What keeps an address from working in an email; nothing if it is https, or of one of the other schemes."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "is not an address"
    if any(char.isspace() for char in address):
        return "has a blank in it"
    if parts.scheme in others:
        return "" if parts.path else f"says not whom to {parts.scheme}"
    if parts.scheme != "https":
        return "is not https"
    return "" if parts.hostname else "names no host"
