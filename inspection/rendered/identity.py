"""Who writes, from where, and how to have no more of it: what the law asks of all but transactional messages.

The templates are checked for it at start-up already; here it is looked for where a reader would, HTML and text apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from domain.messages import MessageClass
from inspection.faults import Fault
from inspection.rendered.links import links
from inspection.rendered.reading import Reading, ReadMessage


def sender_is_named(message: ReadMessage) -> Iterator[Fault]:
    for what, needed in (
        ("the sender's name", message.sender.name),
        ("the sender's postal address", message.sender.postal_address),
    ):
        yield from _shown(message, what, "HTML", partial(_reads, needed))
        yield from _shown(message, what, "text part", partial(_reads_in_text, needed))


def opt_out_is_offered(message: ReadMessage) -> Iterator[Fault]:
    """By a link that can be seen, with words, and by its address in the text."""
    yield from _shown(message, "the opt-out link", "HTML", partial(_links, message.unsubscribe_url))
    yield from _shown(message, "the opt-out link", "text part", partial(_reads_in_text, message.unsubscribe_url))


def _shown(message: ReadMessage, what: str, part: str, is_shown: Callable[[Reading], bool]) -> Iterator[Fault]:
    if message.message_class is MessageClass.TRANSACTIONAL:
        return
    if (whom := message.whom(lambda reading: not is_shown(reading))) is not None:
        lacking = f"is {message.message_class} and does not show {what} in its {part}{whom}"
        yield message.fault(lacking, 'add it, or <mj-include path="footer.mjml" />')


def _reads(needed: str, reading: Reading) -> bool:
    return needed.casefold() in reading.page.words.casefold()


def _reads_in_text(needed: str, reading: Reading) -> bool:
    return needed.casefold() in " ".join(reading.rendered.text.split()).casefold()


def _links(address: str, reading: Reading) -> bool:
    return any(link.words and link.attributes["href"] == address for link in links(reading))
