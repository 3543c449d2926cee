"""Changes of a contact in the CRM: what a step may change, and what a CRM owes whoever asks it.

Changes are written in a flow's code and stand in Temporal's histories: no personal data may be in their texts and
fields.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from domain.limits import Id, JsonObject

MAX_SCORE = 1_000_000_000
"""Either way: beyond it a change is refused."""
_UNSTORABLE = re.compile("[\0-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def _storable(value: str) -> str:
    if _UNSTORABLE.search(value):
        raise ValueError("control characters other than line breaks and tabs are not allowed")
    return value


Stage = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
"""A lifecycle stage: `lead`, `qualified`, `customer`, or one of your own."""
Note = Annotated[
    str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True), AfterValidator(_storable)
]


class _Change(BaseModel):
    model_config = ConfigDict(frozen=True)


class SetFields(_Change):
    """Set attributes of the contact by name; the others stay, and a null one is removed."""

    kind: Literal["fields"] = "fields"
    fields: JsonObject = Field(min_length=1)


class SetLifecycle(_Change):
    kind: Literal["lifecycle"] = "lifecycle"
    stage: Stage


class AddScore(_Change):
    """Add points to the lead score, or take some off. No two additions lose each other."""

    kind: Literal["score"] = "score"
    points: int = Field(ge=-1_000_000, le=1_000_000)


class SetOwner(_Change):
    """Make a person the lead owner; null: nobody."""

    kind: Literal["owner"] = "owner"
    person_id: Id | None


class AddNote(_Change):
    kind: Literal["note"] = "note"
    text: Note


class Sunset(_Change):
    """No marketing to the contact until they act."""

    kind: Literal["sunset"] = "sunset"


Change = Annotated[
    SetFields | SetLifecycle | AddScore | SetOwner | AddNote | Sunset,
    Field(discriminator="kind"),
]


class CrmChange(BaseModel):
    """What a step asks to change of its contact. Enrollment and step are the key; `aliases`: its other names."""

    model_config = ConfigDict(frozen=True)

    enrollment_id: str
    step: str
    aliases: tuple[str, ...] = ()
    change: Change
    asked_at: datetime = Field(description="when the enrollment came to the step")


class AppliedChange(BaseModel):
    """A change that stands. `id`, a UUID of version 7, is the same at each retry, also after the step was renamed.

    Of two changes of one contact the later one has the higher id, as far as the workers' clocks agree.
    `result` is not personal: `{"score": 40}` after points, `{}` where there is nothing to tell.
    """

    id: str
    enrollment_id: str
    contact_id: str
    flow: str
    step: str
    applied_at: datetime
    change: Change
    result: dict[str, JsonValue]
    owed: bool = Field(default=False, description="whether a mirror has still to be told of it")


class CrmResult(BaseModel):
    """What became of a step that changes the contact: the flow goes on in each case."""

    status: Literal["done", "skipped", "refused"]
    reason: str | None = Field(default=None, description="why it changed nothing")
    score: int | None = Field(default=None, description="of the contact, after points were added")


class CrmError(Exception):
    """`reason` is for operators: no personal data and no secret in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CrmRefused(CrmError):
    """The change cannot be made: it is never tried again."""


class NoLongerWanted(CrmError):
    """The enrollment ended, or was asked to, before the change was made."""


class CrmUnavailable(CrmError):
    """Not everybody who has to know of the change does: ask again, after `retry_after` if given."""

    def __init__(self, reason: str, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Crm(Protocol):
    """Keeps what is known of contacts."""

    async def apply(self, change: CrmChange) -> AppliedChange:
        """Make a change, once, while the enrollment goes on.

        Idempotency: what came of a key once, done or refused, is answered again, and nothing is changed.
        Raises: CrmRefused, NoLongerWanted, CrmUnavailable; what our own database raises passes as it is.
        """

    async def catch_up(self) -> int:
        """Tell others of changes whose steps ended before they were told; answer how many were. For a sweep."""

    async def close(self) -> None:
        """Release connections. The CRM is not used afterwards."""


class MirroredCrm(Crm, Protocol):
    """A CRM that keeps account of what a mirror has still to be told: an owed change stays owed until it is settled."""

    async def settle(self, change_id: str, refusal: str | None = None) -> None:
        """The mirror was told of a change or, by `refusal`, wants it never again. Settled once, it stays so."""

    async def abandoned(self, limit: int) -> Sequence[AppliedChange]:
        """Owed changes that no step will try to tell any more, oldest first."""
