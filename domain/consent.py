"""What a contact agreed to."""

from __future__ import annotations

from enum import StrEnum


class ConsentState(StrEnum):
    """The word of a contact on one topic."""

    REQUESTED = "requested"
    """Somebody said that they agree; under double opt-in they have yet to confirm it themselves."""
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
