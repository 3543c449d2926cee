"""The CRM that is our own database: changes of contacts, each made once, and what a mirror has yet to be told."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.crm import (
    MAX_SCORE,
    AddNote,
    AddScore,
    AppliedChange,
    CrmChange,
    CrmRefused,
    NoLongerWanted,
    SetFields,
    SetLifecycle,
    SetOwner,
    Sunset,
)
from domain.events import NO_ACTS
from domain.limits import MAX_OBJECT_CHARACTERS
from domain.suppressions import SuppressionReason
from store.contacts import TooManyAttributes, merge_attributes
from store.database import Database
from store.enrollments import withdrawal
from store.people_tables import PersonRow
from store.suppressions import suppress
from store.tables import ContactRow, CrmChangeRow, EnrollmentRow, EventRow, now

HAND_OVER = "hand_over"
"""The kind of a row that changes nothing: it tells why a step enrolled the contact in no other flow."""


class DatabaseCrm:
    """Keeps contacts in our own tables. `mirrored`: what changes is owed to a mirror, see `domain.crm.MirroredCrm`."""

    def __init__(self, database: Database, *, mirrored: bool = False) -> None:
        self._database = database
        self._mirrored = mirrored

    async def apply(self, change: CrmChange) -> AppliedChange:
        async with self._database.write() as session:
            # Shared: how it ends is recorded before the change or after it, and two of its changes may be under way.
            query = select(EnrollmentRow).where(EnrollmentRow.id == change.enrollment_id)
            enrollment = (await session.exec(query.with_for_update(read=True, key_share=True))).one()
            row = await _apply(session, enrollment, change, mirrored=self._mirrored)
        if row.refusal is not None:
            raise CrmRefused(row.refusal)
        return _applied(row, enrollment.flow)

    async def settle(self, change_id: str, refusal: str | None = None) -> None:
        async with self._database.write() as session:
            await session.exec(
                update(CrmChangeRow)
                .where(col(CrmChangeRow.id) == change_id, col(CrmChangeRow.mirror) == "owed")
                .values(mirror="refused" if refusal else "told", mirror_refusal=refusal)
            )

    async def abandoned(self, limit: int) -> Sequence[AppliedChange]:
        # Of an active enrollment the next attempt of the step tells the mirror.
        async with self._database.read() as session:
            found = await session.exec(
                select(CrmChangeRow, EnrollmentRow.flow)
                .join(EnrollmentRow, col(EnrollmentRow.id) == CrmChangeRow.enrollment_id)
                .where(CrmChangeRow.mirror == "owed", EnrollmentRow.status == "ended")
                .order_by(col(CrmChangeRow.id))
                .limit(limit)
            )
            return [_applied(row, flow) for row, flow in found]

    async def catch_up(self) -> int:
        return 0

    async def close(self) -> None:
        """The database belongs to whoever opened it."""


async def change_of_step(session: AsyncSession, enrollment_id: str, *names: str) -> CrmChangeRow | None:
    """What a step changed, or was refused to change, under any of the names that it has or had."""
    return (
        await session.exec(
            select(CrmChangeRow)
            .where(CrmChangeRow.enrollment_id == enrollment_id, col(CrmChangeRow.step).in_(names))
            .order_by(col(CrmChangeRow.id))
        )
    ).first()


async def note_lifted_sunset(session: AsyncSession, contact_id: str) -> None:
    """Note that the latest sunset of a contact holds no longer."""
    latest = (
        select(CrmChangeRow.id)
        .where(CrmChangeRow.contact_id == contact_id, CrmChangeRow.kind == "sunset")
        .where(col(CrmChangeRow.refusal).is_(None))
        .order_by(col(CrmChangeRow.id).desc())
        .limit(1)
    )
    await session.exec(
        update(CrmChangeRow).where(col(CrmChangeRow.id) == latest.scalar_subquery()).values(lifted_at=now())
    )


async def _apply(session: AsyncSession, enrollment: EnrollmentRow, asked: CrmChange, *, mirrored: bool) -> CrmChangeRow:
    # For update: the changes of one contact come one after the other, two attempts of one step among them; and who
    # records an event of the contact waits, or is waited for.
    query = select(ContactRow).where(ContactRow.id == enrollment.contact_id).with_for_update()
    contact = (await session.exec(query)).one()
    if (known := await change_of_step(session, enrollment.id, asked.step, *asked.aliases)) is not None:
        return known
    if (reason := withdrawal(enrollment)) is not None:
        raise NoLongerWanted(reason)
    row = CrmChangeRow(
        enrollment_id=enrollment.id,
        contact_id=contact.id,
        step=asked.step,
        kind=asked.change.kind,
        change=asked.change.model_dump(mode="json", exclude={"kind"}),
    )
    try:
        row.result = await _carry_out(session, contact, asked)
        row.mirror = "owed" if mirrored else None
    except CrmRefused as refused:
        row.refusal = refused.reason
    session.add(row)
    return row


async def _carry_out(session: AsyncSession, contact: ContactRow, asked: CrmChange) -> dict[str, JsonValue]:
    """Change the contact; answer the result. Raises: CrmRefused, with nothing changed."""
    match asked.change:
        case SetFields(fields=fields):
            try:
                _set(session, contact, attributes=merge_attributes(contact.attributes, fields))
            except TooManyAttributes:
                reason = f"the contact's attributes would hold more than {MAX_OBJECT_CHARACTERS} characters"
                raise CrmRefused(reason) from None
        case SetLifecycle(stage=stage):
            _set(session, contact, lifecycle_stage=stage)
            return {"stage": stage}
        case AddScore(points=points):
            return {"score": await _add_score(session, contact, points)}
        case SetOwner(person_id=person_id):
            if person_id is not None and await session.get(PersonRow, person_id) is None:
                raise CrmRefused(f"there is no person {person_id}")
            _set(session, contact, owner_id=person_id)
            return {"owner_id": person_id}
        case Sunset():
            if await _has_acted(session, contact, asked):
                raise CrmRefused("the contact acted after the flow had come to this step")
            await suppress(session, contact.email, SuppressionReason.SUNSET, "flow")
        case AddNote():
            pass  # the row is the note
    return {}


def _set(session: AsyncSession, contact: ContactRow, **values: object) -> None:
    contact.sqlmodel_update(values, update={"updated_at": now()})
    session.add(contact)


async def _add_score(session: AsyncSession, contact: ContactRow, points: int) -> int:
    if abs(contact.score + points) > MAX_SCORE:
        raise CrmRefused(f"the score would be beyond {MAX_SCORE}")
    added = await session.exec(
        update(ContactRow)
        .where(col(ContactRow.id) == contact.id)
        .values(score=col(ContactRow.score) + points, updated_at=now())
        .returning(col(ContactRow.score))
        .execution_options(synchronize_session=False)
    )
    return int(added.scalar_one())


async def _has_acted(session: AsyncSession, contact: ContactRow, asked: CrmChange) -> bool:
    acts = await session.exec(
        select(EventRow.id)
        .where(
            EventRow.contact_id == contact.id,
            EventRow.received_at >= asked.asked_at,
            col(EventRow.name).not_in(NO_ACTS),
        )
        .limit(1)
    )
    return acts.first() is not None


def _applied(row: CrmChangeRow, flow: str) -> AppliedChange:
    return AppliedChange.model_validate(
        {
            "id": row.id,
            "enrollment_id": row.enrollment_id,
            "contact_id": row.contact_id,
            "flow": flow,
            "step": row.step,
            "applied_at": row.created_at,
            "change": {"kind": row.kind, **row.change},
            "result": row.result,
            "owed": row.mirror == "owed",
        }
    )
