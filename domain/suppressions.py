"""Why an address is not written to."""

from __future__ import annotations

from enum import StrEnum


class SuppressionReason(StrEnum):
    UNSUBSCRIBED = "unsubscribed"
    """They left everything but transactional email."""
    HARD_BOUNCE = "hard_bounce"
    """The address is dead."""
    COMPLAINT = "complaint"
    """They marked an email as spam."""
    ERASED = "erased"
    """They had themselves erased."""
    MANUAL = "manual"
    """Somebody of the team decided so."""
    SUNSET = "sunset"
    """They did nothing for long: no marketing until they act."""


STOPS_EVERYTHING = (
    SuppressionReason.ERASED,
    SuppressionReason.HARD_BOUNCE,
    SuppressionReason.COMPLAINT,
    SuppressionReason.MANUAL,
)
"""Not even transactional email is sent then."""
