"""A broadcast as the API shows it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.broadcasts import BroadcastSettings, BroadcastStatus, parts_of
from domain.messages import REACHED, MessageStatus
from runtime.broadcasting import broadcast_workflow_id
from store.broadcasts import Count, counts_of, goals_of, settings_of
from store.list_tables import BroadcastRow


class BroadcastView(BaseModel):
    """One message to many contacts, as it was asked for and where it is."""

    id: str = Field(examples=["0193f0c2-c0d1-7e22-9a33-4b5c6d7e8f90"])
    name: str = Field(examples=["Shared calendars, to all customers"])
    message: str = Field(examples=["product-update"])
    status: BroadcastStatus
    reason: str | None = Field(description="why it was held or cancelled, if no person did")
    source: dict[str, JsonValue] = Field(description="a segment, an import, or how many contacts were given by id")
    settings: BroadcastSettings = Field(description="when, holdout, test of subjects, and what is counted")
    size: int | None = Field(description="contacts it is for; null: they are not counted yet")
    winner: str | None = Field(description="the variant that the rest of the audience gets; null: not chosen yet")
    requested_by: str | None = Field(description="the person that `Cauce-Person` named")
    workflow_id: str
    created_at: datetime
    begins_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: BroadcastRow) -> BroadcastView:
        settings = settings_of(row)
        return cls(
            **row.model_dump(include=set(cls.model_fields) - {"settings", "workflow_id", "begins_at"}),
            settings=settings,
            workflow_id=broadcast_workflow_id(row.id),
            begins_at=settings.begins_at(row.created_at),
        )


class VariantView(BaseModel):
    """What became of the messages with one subject; without a test there is one, whose name is null."""

    name: str | None
    sent: int = Field(description="a provider has them")
    clicked: int = Field(description="of those, by people")
    click_rate: float
    by_status: dict[MessageStatus, int] = Field(examples=[{"delivered": 900, "clicked": 80, "bounced": 2}])


class GoalView(BaseModel):
    """How many had the event since the broadcast began."""

    event: str
    contacts: int = Field(description="who have the message")
    reached: int
    held_out: int = Field(description="who got nothing, to compare with")
    reached_in_holdout: int


class BroadcastResult(BroadcastView):
    """A broadcast with what came of it so far."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    by_status: dict[MessageStatus, int] = Field(
        description="of all it is for and that were decided on; GET /v1/messages?broadcast_id=… lists them",
        examples=[{"sent": 18012, "skipped": 1980, "unconfirmed": 8}],
    )
    holdout: int | None = Field(description="contacts who get nothing; null: not counted yet")
    variants: list[VariantView]
    goal: GoalView | None

    @classmethod
    async def with_counts(cls, session: AsyncSession, row: BroadcastRow) -> BroadcastResult:
        view = BroadcastView.of(row)
        counts = await counts_of(session, row)
        held_out_from = parts_of(view.settings, row.size).held_out if row.size is not None else None
        goal = None
        if view.settings.goal_event is not None and held_out_from is not None:
            reached, otherwise = await goals_of(session, row, view.settings.goal_event, held_out_from)
            goal = GoalView(
                event=view.settings.goal_event,
                contacts=reached.contacts,
                reached=reached.reached,
                held_out=otherwise.contacts,
                reached_in_holdout=otherwise.reached,
            )
        return cls(
            **view.model_dump(exclude={"settings"}),
            settings=view.settings,
            by_status=_by_status(counts),
            holdout=None if row.size is None or held_out_from is None else row.size - held_out_from,
            variants=_variants(counts),
            goal=goal,
        )


def _by_status(counts: Sequence[Count]) -> dict[MessageStatus, int]:
    found: dict[MessageStatus, int] = {}
    for count in counts:
        found[count.status] = found.get(count.status, 0) + count.messages
    return found


def _variants(counts: Sequence[Count]) -> list[VariantView]:
    """Those that somebody got: who was left out has none."""
    names = sorted({count.variant for count in counts if count.status in REACHED}, key=lambda name: name or "")
    views = []
    for name in names:
        of_name = [count for count in counts if count.variant == name]
        sent = sum(count.messages for count in of_name if count.status in REACHED)
        clicked = sum(count.clicked for count in of_name if count.status in REACHED)
        rate = clicked / sent if sent else 0.0
        views.append(VariantView(name=name, sent=sent, clicked=clicked, click_rate=rate, by_status=_by_status(of_name)))
    return views
