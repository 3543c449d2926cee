"""The erasure of a contact: what is asked of providers, and the certificate that says what was done."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, Field

ERASURES_TASK_QUEUE = "cauce-erasures"
ENDED_FROM_OUTSIDE = "its run did not answer, and was ended from outside"
"""Why an enrollment ended that an erasure could not wait for."""


class ErasureRefused(Exception):
    """The provider does not erase, and will not: somebody has to see to it. `reason` holds nothing personal."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Asked(StrEnum):
    """What came of asking a provider to erase somebody."""

    ERASED = "erased"
    """It was done at once."""
    ACCEPTED = "accepted"
    """The provider took the request, and does it by itself."""
    BY_HAND = "by_hand"
    """It was not done: somebody has to."""


class ProviderReply(BaseModel):
    """A provider's word; `detail` is for people, and holds nothing personal."""

    outcome: Asked
    detail: str


class Eraser(Protocol):
    """Has one provider erase what it holds of somebody. Blocking: call it from a thread."""

    def erase(self, email: str, message_ids: Collection[str]) -> ProviderReply:
        """Ask it, by their address and the ids of the messages that it was handed for them.

        Raises: ErasureRefused; domain.messages.NotAccepted if it could not be asked now; nothing else.
        Idempotency: asked twice, the provider erases once.
        """

    def close(self) -> None:
        """Release connections. Nobody is erased afterwards."""


class ContactRuns(Protocol):
    """What Temporal has of a contact. Each may be done again, and raises if Temporal is away."""

    async def tell_to_leave(self, contact_id: str) -> None:
        """Tell the contact's active enrollments that they are erased: they end by themselves, in a moment."""

    async def end(self, contact_id: str) -> None:
        """End the contact's active enrollments from outside, and record that as ENDED_FROM_OUTSIDE."""

    async def delete(self, contact_id: str) -> frozenset[str]:
        """Have every run of the contact deleted with its history; answer the ids of those that were still there.

        Deleting takes the server a moment, and its lists lag: nothing is left once a later call finds nothing.
        """


class FlowsLeft(BaseModel):
    enrollments: int = Field(description="that were active")
    terminated: int = Field(description="of these, runs that did not answer and were ended from outside")
    at: datetime


class ProviderAsked(ProviderReply):
    provider: str
    at: datetime


class RowsDeleted(BaseModel):
    by_table: dict[str, int]
    at: datetime


class HistoriesDeleted(BaseModel):
    runs: int
    at: datetime


class Certificate(BaseModel):
    """What was done, part by part; null is still to come. Neither personal data nor the contact's id is in it."""

    flows: FlowsLeft | None = None
    providers: list[ProviderAsked] | None = None
    rows: RowsDeleted | None = None
    histories: HistoriesDeleted | None = None
