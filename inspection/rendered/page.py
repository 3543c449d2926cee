"""What a screen reader finds its way by. Language and descriptions of images are looked for at start-up already."""

from __future__ import annotations

from collections.abc import Iterator

from inspection.faults import Fault
from inspection.rendered.reading import ReadMessage


def title_is_told(message: ReadMessage) -> Iterator[Fault]:
    """WCAG 2.2, 2.4.2."""
    if (whom := message.whom(lambda reading: not any(title.words for title in reading.page.all("title")))) is not None:
        yield message.fault(f"has no title{whom}", "write one as <mj-title> in <mj-head>", "<mj-title", "<mj-head")


def headline_is_one(message: ReadMessage) -> Iterator[Fault]:
    """WCAG 2.2, 1.3.1: by its headline somebody who sees no sizes finds where the message begins."""
    if (whom := message.whom(lambda reading: len(reading.page.all_seen("h1")) != 1)) is not None:
        mend = "write exactly one, as <h1> in an <mj-text>"
        yield message.fault(f"has no headline, or several{whom}", mend, "<h1", "<mj-body")
    if (whom := message.whom(lambda reading: any(not h1.words for h1 in reading.page.all_seen("h1")))) is not None:
        yield message.fault(f"has an empty headline{whom}", "let it say something to everybody", "<h1")
