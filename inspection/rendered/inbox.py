"""What an inbox makes of a message before it is read: its subject, its line of preview, and how much of it is shown."""

from __future__ import annotations

from collections.abc import Iterator

from emails.html_tree import Element
from inspection.faults import Fault
from inspection.rendered.reading import ReadMessage

CLIPPED_FROM = 102 * 1024
"""Bytes of HTML. Gmail hides the rest behind a link, the footer with the opt-out first."""
NEAR_THE_CLIP = 80 * 1024
SUBJECT_CHARACTERS = 60
"""About what inboxes show; telephones show less."""


def html_is_not_clipped(message: ReadMessage) -> Iterator[Fault]:
    if message.html_bytes >= CLIPPED_FROM:
        what = f"comes to {message.html_bytes:,} bytes of HTML, and Gmail clips it at {CLIPPED_FROM:,}"
        yield message.fault(what, "shorten it, and keep long values out of it by |truncate")


def html_is_far_from_the_clip(message: ReadMessage) -> Iterator[Fault]:
    if NEAR_THE_CLIP <= message.html_bytes < CLIPPED_FROM:
        what = f"comes to {message.html_bytes:,} bytes of HTML, not far from the {CLIPPED_FROM:,} that Gmail clips at"
        yield message.fault(what, "shorten it before it grows")


def subject_fits(message: ReadMessage) -> Iterator[Fault]:
    if (length := len(message.subject)) > SUBJECT_CHARACTERS:
        what = f"comes to {length} characters, “{message.subject}”, and inboxes show about {SUBJECT_CHARACTERS}"
        yield Fault(message.of_subject, 1, what, "shorten it")
    if (whom := message.whom(lambda reading: not reading.rendered.subject)) is not None:
        yield Fault(message.of_subject, 1, f"is empty{whom}", "let it say something to everybody")


def preview_is_there(message: ReadMessage) -> Iterator[Fault]:
    """The line beside the subject. Without one of its own, an inbox shows what the body begins with."""
    if (whom := message.whom(lambda reading: not _preview(reading.page))) is not None:
        mend = "say in <mj-preview> what the reader gets out of it"
        yield message.fault(f"has no line of preview{whom}", mend, "<mj-preview", "<mj-head", "<mjml")


def _preview(page: Element) -> str:
    """Of what the body hides, the text before all that it shows."""
    for node in (node for body in page.all("body") for node in body.children):
        if isinstance(node, Element):
            return node.words if node.is_hidden else ""
    return ""
