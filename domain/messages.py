"""A message: one email to one contact, the rules that allow it, and what a provider may answer."""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.consent import ConsentState
from domain.suppressions import STOPS_EVERYTHING, SuppressionReason

_LINE_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class MessageClass(StrEnum):
    """What a message is, which decides the permission that it needs."""

    TRANSACTIONAL = "transactional"
    """Asked for by what the contact did (a receipt, a password): stopped only by a dead or complaining address."""
    RELATIONSHIP = "relationship"
    """Part of serving an existing customer: allowed until the contact opts out."""
    MARKETING = "marketing"
    """Allowed only after the contact opted in to its topic."""


class MessageStatus(StrEnum):
    """Where a message is. It moves forward only: a settled message never becomes open again."""

    READY = "ready"
    """Decided, and surely not with the provider: it may be handed over."""
    DEFERRED = "deferred"
    """Not now: the flow comes back to it at the time that the row says."""
    SENDING = "sending"
    """Handed over, with no answer recorded yet."""
    UNCONFIRMED = "unconfirmed"
    """The provider may have it or not: never resent blindly, listed for a person."""
    SENT = "sent"
    SKIPPED = "skipped"
    """Not sent, on purpose: the reason says why."""
    REJECTED = "rejected"
    """The provider refused it for good."""
    DROPPED = "dropped"
    """The provider took it, and did not even try to deliver it."""
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


REACHED = (
    MessageStatus.SENT,
    MessageStatus.DROPPED,
    MessageStatus.DELIVERED,
    MessageStatus.OPENED,
    MessageStatus.CLICKED,
    MessageStatus.BOUNCED,
    MessageStatus.COMPLAINED,
)
"""What a message comes to once a provider has it, in the order in which one state replaces another."""


class Settlement(StrEnum):
    """How a doubt about a message is settled by somebody who looked."""

    SENT = "sent"
    """The provider has it."""
    NOT_SENT = "not_sent"
    """The provider has it not, and it is not to be sent any more."""
    RESEND = "resend"
    """The provider has it not: it is handed over once more."""


class Sender(BaseModel):
    """Who a message comes from: anti-spam laws ask for a name and a postal address in each."""

    model_config = ConfigDict(frozen=True)

    name: str
    email: str
    postal_address: str
    website: str


class EmailMessage(BaseModel):
    """One rendered email. `id` is the ledger row's, and the key by which a provider's answer is told apart.

    `unsubscribe_url` is set on every class but transactional ones, and becomes the headers of RFC 8058.
    `flow` and `step` name the message in a provider's statistics.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    flow: str
    step: str
    sender: Sender
    to_email: str
    to_name: str
    subject: str
    html: str
    text: str
    unsubscribe_url: str | None


def one_line(text: str) -> str:
    """Header text without the characters that could begin another header."""
    return _LINE_BREAKS.sub(" ", text)


class Receipt(BaseModel):
    """A provider's word that it took a message. `provider_message_id` is opaque, at most 100 characters."""

    provider: str
    provider_message_id: str


class Mailer(Protocol):
    """Hands rendered messages to one provider. Blocking: call it from a thread.

    `idempotent` says whether handing over the same message id twice delivers it once.
    """

    name: str
    idempotent: bool

    def send(self, message: EmailMessage) -> Receipt:
        """Hand over one message.

        Raises: MessageRejected, RateLimited, ProviderUnavailable, DeliveryAmbiguous; nothing else.
        """

    def close(self) -> None:
        """Release connections. The mailer is not used afterwards."""


class MailerError(Exception):
    """`reason` is for operators: no personal data and no secret in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MessageRejected(MailerError):
    """The provider refuses this message for good: it is never tried again."""


class NotAccepted(MailerError):
    """The provider surely did not take the message: it may be handed over again after `retry_after`, if given."""

    def __init__(self, reason: str, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RateLimited(NotAccepted):
    """Too many messages; `retry_after` says until when."""


class ProviderUnavailable(NotAccepted):
    """Not reachable, out of order, or refusing our credentials."""


class DeliveryAmbiguous(MailerError):
    """No answer after the request went out: the provider may have the message or not."""


class InOutage(StrEnum):
    """What a step's message does while its provider is out of order for longer than the settings allow for."""

    HOLD = "hold"
    """It waits for the provider."""
    OTHER_PROVIDER = "other_provider"
    """It goes to the second provider if there is one; else it waits."""
    TASK = "task"
    """It is not sent: the team that answers for the flow gets a task in its place."""


class SendResult(BaseModel):
    """What became of a step that sends: the flow goes on in each case, once a message that is deferred was decided on.

    `until` is when to decide again; `outage` says that a task is to be given in its place.
    """

    status: MessageStatus
    reason: str | None = Field(default=None, exclude_if=operator.not_)
    until: datetime | None = Field(default=None, exclude_if=operator.not_)
    outage: bool = Field(default=False, exclude_if=operator.not_)


def refusal(
    message_class: MessageClass,
    topic: str,
    consent: Mapping[str, ConsentState],
    suppressions: Collection[SuppressionReason],
) -> str | None:
    """Decide whether a contact may be written to; answer why not, or None.

    `consent` holds the contact's latest word by topic; `suppressions` the reasons their address is suppressed for.
    """
    for reason in STOPS_EVERYTHING:
        if reason in suppressions:
            return f"address suppressed: {reason}"
    if message_class is MessageClass.TRANSACTIONAL:
        return None
    if SuppressionReason.UNSUBSCRIBED in suppressions:
        return "contact unsubscribed"
    state = consent.get(topic)
    if state is ConsentState.WITHDRAWN:
        return f"contact opted out of {topic}"
    if message_class is MessageClass.RELATIONSHIP:
        return None
    if SuppressionReason.SUNSET in suppressions:
        return "contact was sunset: no marketing until they act"
    if state is ConsentState.REQUESTED:
        return f"consent to {topic} is not confirmed yet"
    return None if state is ConsentState.GRANTED else f"no consent to {topic}"
