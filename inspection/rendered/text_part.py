"""The message without HTML, for those who read it so: as much is in it."""

from __future__ import annotations

from collections.abc import Iterator

from inspection.faults import Fault
from inspection.rendered.links import links
from inspection.rendered.reading import ReadMessage


def text_is_there(message: ReadMessage) -> Iterator[Fault]:
    if (whom := message.whom(lambda reading: not reading.rendered.text.strip())) is not None:
        yield message.fault(f"has no text part{whom}", "write something that is not an image", "<mj-body")


def text_has_every_link(message: ReadMessage) -> Iterator[Fault]:
    for reading in message.readings:
        for link in links(reading):
            address = link.attributes["href"]
            if address not in reading.rendered.text:
                what = f"links to {address!r} by “{link.words}”, which its text part does not"
                yield message.fault(what, "write the link as <a href=…> in an <mj-text>", address, link.words)
