"""What providers tell of a message after they took it, in one vocabulary for all of them."""

from __future__ import annotations

from enum import StrEnum


class DeliveryKind(StrEnum):
    PROCESSED = "processed"
    """The provider took it and will try to deliver it."""
    DEFERRED = "deferred"
    """The receiving server asked to come back later; the provider does."""
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    """The address is dead."""
    BLOCKED = "blocked"
    """The receiving server refused this message; the address may be good."""
    DROPPED = "dropped"
    """The provider did not even try."""
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    RESUBSCRIBED = "resubscribed"
    UNKNOWN = "unknown"
    """Of a type that we have no word for."""
    JUNK = "junk"
    """Nothing that can be read as an event."""
