"""A message in one locale as each of the samples gets it, which is what the rules judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from domain.messages import MessageClass, Sender
from emails.folder import LAYOUT
from emails.html_tree import Element, parse_html
from emails.mjml_source import Source
from emails.templates import Rendered
from inspection.faults import Fault
from inspection.rendered.samples import Sample
from inspection.rendered.seen_text import SeenText, seen_texts


@dataclass(frozen=True)
class Reading:
    """What one sample gets."""

    sample: Sample
    rendered: Rendered

    @cached_property
    def page(self) -> Element:
        return parse_html(self.rendered.html)

    @cached_property
    def texts(self) -> list[SeenText]:
        return seen_texts(self.page)


@dataclass(frozen=True)
class ReadMessage:
    """`folder` is the message's, as seen from the project's root; `readings` are by sample, the usual one first."""

    folder: str
    locale: str
    message_class: MessageClass
    sources: Sequence[Source]
    sender: Sender
    unsubscribe_url: str
    readings: Sequence[Reading]

    @property
    def subject(self) -> str:
        """As the usual sample gets it."""
        return self.readings[0].rendered.subject

    @property
    def html_bytes(self) -> int:
        """Of the longest."""
        return max(len(reading.rendered.html.encode()) for reading in self.readings)

    def whom(self, is_wrong: Callable[[Reading], bool]) -> str | None:
        """Of whom something is wrong, in words to add: nothing of all, ` for a reader …` of some, None of nobody."""
        wrong = [reading for reading in self.readings if is_wrong(reading)]
        if not wrong:
            return None
        return "" if len(wrong) == len(self.readings) else f" for a reader {wrong[0].sample.who}"

    @property
    def of_subject(self) -> str:
        return f"{self.folder}/{self.locale}/subject.txt"

    def fault(self, what: str, mend: str, *written: str) -> Fault:
        """A fault of the body, or of a part that it includes, where one of these is written; the last place counts."""
        for text in filter(None, written):
            for source in self.sources:
                if self._is_read(source) and (at := source.text.rfind(text)) >= 0:
                    return Fault(source.file, source.text.count("\n", 0, at) + 1, what, mend)
        return Fault(f"{self.folder}/{self.locale}/body.mjml", 1, what, mend)

    def _is_read(self, source: Source) -> bool:
        path = PurePosixPath(source.file)
        return path.suffix == ".mjml" and path.parent.name in (self.locale, LAYOUT)
