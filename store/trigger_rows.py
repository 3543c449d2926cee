"""Triggers that operators added to flows."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.flows import FlowType
from domain.triggers import Trigger
from store.list_tables import SegmentRow, TriggerRow
from store.locks import lock
from store.segment_watching import stop_watching
from store.tables import now
from store.triggers import watched_segments

MAX_OF_A_FLOW = 50


class TooManyTriggers(Exception):
    """The flow has as many as one may have."""


class UnknownSegment(Exception):
    """There is no segment of this id."""


async def triggers_of(session: AsyncSession, flow: str) -> list[TriggerRow]:
    """A flow's triggers, newest first."""
    query = select(TriggerRow).where(TriggerRow.flow == flow).order_by(col(TriggerRow.id).desc())
    return list(await session.exec(query))


async def add_trigger(session: AsyncSession, flow: str, trigger: Trigger, *, active: bool) -> TriggerRow:
    """Raises: TooManyTriggers, UnknownSegment."""
    await lock(session, f"triggers of {flow}")
    count = select(func.count()).where(col(TriggerRow.flow) == flow)
    if (await session.exec(count)).one() >= MAX_OF_A_FLOW:
        raise TooManyTriggers
    await _require_segment(session, trigger)
    row = TriggerRow(flow=flow, definition={}, active=active)
    _define(row, trigger)
    session.add(row)
    await session.flush()
    return row


async def change_trigger(
    session: AsyncSession, flows: Mapping[str, FlowType], row: TriggerRow, trigger: Trigger, *, active: bool
) -> None:
    """Give a trigger, locked by the caller, another definition. The same again changes nothing. Raises: UnknownSegment.

    A segment that no trigger watches any more begins anew when one does: who enters it meanwhile enrolls nowhere.
    """
    await _require_segment(session, trigger)
    watched, before = row.segment_id, (row.definition, row.active)
    _define(row, trigger)
    row.active = active
    if before != (row.definition, row.active):
        row.updated_at = now()
        session.add(row)
        await session.flush()
        await _leave(session, flows, watched)


async def delete_trigger(session: AsyncSession, flows: Mapping[str, FlowType], row: TriggerRow) -> None:
    """Forget a trigger, locked by the caller. Whom it enrolled stays where they are."""
    await session.delete(row)
    await session.flush()
    await _leave(session, flows, row.segment_id)


def _define(row: TriggerRow, trigger: Trigger) -> None:
    row.event, row.segment_id = trigger.event, trigger.segment
    row.definition = trigger.model_dump(mode="json", exclude_defaults=True)


async def _require_segment(session: AsyncSession, trigger: Trigger) -> None:
    """It stays until the transaction is over."""
    if trigger.segment is not None:
        query = select(SegmentRow.id).where(SegmentRow.id == trigger.segment)
        if (await session.exec(query.with_for_update(read=True, key_share=True))).one_or_none() is None:
            raise UnknownSegment


async def _leave(session: AsyncSession, flows: Mapping[str, FlowType], segment_id: str | None) -> None:
    if segment_id is not None and segment_id not in await watched_segments(session, flows):
        await stop_watching(session, segment_id)
