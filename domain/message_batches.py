"""One message to many contacts in one request to a provider: what all of them read alike, and what each does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from domain.messages import Mailer, MessageRejected, Receipt, Sender


class Letter(NamedTuple):
    """One contact's copy. `id` is the ledger row's, `values` what stands for each tag of the texts."""

    id: str
    to_email: str
    to_name: str
    subject: str
    unsubscribe_url: str | None
    values: Mapping[str, str]


class MessageBatch(NamedTuple):
    """`html` and `text` hold tags. No value and no subject holds one, so the order of putting values in is all one.

    `flow` and `step` name the message in a provider's statistics.
    """

    flow: str
    step: str
    sender: Sender
    html: str
    text: str
    letters: Sequence[Letter]


@runtime_checkable
class BatchMailer(Mailer, Protocol):
    """A mailer that takes up to `batch_size` letters in one request. Blocking, as `send` is."""

    batch_size: int

    def takes(self, letter: Letter) -> bool:
        """Whether a letter can be one of a batch; another has to be sent by itself."""

    def send_batch(self, batch: MessageBatch) -> Receipt:
        """Hand over all letters, or none; the receipt is of all of them.

        Raises: BatchRejected in place of MessageRejected, and otherwise as `send`; nothing else.
        """


class BatchRejected(MessageRejected):
    """The provider took none of the letters. `at` are those that it complains of, if it says which.

    `of_letters` is false if what all letters share is wrong: then no letter would pass in another batch.
    """

    def __init__(self, reason: str, *, of_letters: bool, at: Sequence[int] = ()) -> None:
        super().__init__(reason)
        self.of_letters = of_letters
        self.at = tuple(at)


def with_values(text: str, values: Mapping[str, str]) -> str:
    """What the reader of a letter reads: each tag gives way to its value."""
    for tag, value in values.items():
        text = text.replace(tag, value)
    return text
