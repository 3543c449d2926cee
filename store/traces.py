"""Traces of a contact outside of the tables, as the tables tell of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.erasure import ENDED_FROM_OUTSIDE, FlowsLeft
from domain.messages import MessageStatus
from store.ledger_tables import MessageRow
from store.tables import CrmChangeRow, EnrollmentRow, ErasureRow, now


class UnderWay(NamedTuple):
    """How much is still being done for a contact."""

    enrollments: int
    handovers: int


async def under_way(session: AsyncSession, contact_id: str) -> UnderWay:
    active = select(func.count()).where(EnrollmentRow.contact_id == contact_id, EnrollmentRow.status == "active")
    sending = select(func.count()).where(
        MessageRow.contact_id == contact_id, MessageRow.status == MessageStatus.SENDING
    )
    return UnderWay((await session.exec(active)).one(), (await session.exec(sending)).one())


async def flows_left(session: AsyncSession, erasure: ErasureRow) -> FlowsLeft:
    """How many of the contact's enrollments have ended since their erasure was asked for."""
    reasons = await session.exec(
        select(EnrollmentRow.exit_reason).where(
            EnrollmentRow.contact_id == erasure.contact_id, col(EnrollmentRow.ended_at) >= erasure.requested_at
        )
    )
    ended = list(reasons)
    return FlowsLeft(enrollments=len(ended), terminated=ended.count(ENDED_FROM_OUTSIDE), at=now())


async def handed_to_providers(session: AsyncSession, contact_id: str) -> Mapping[str, Collection[str]]:
    """By the provider's name, the ids of the messages that it may have, mail to people about the contact among them."""
    found = await session.exec(
        select(MessageRow.id, MessageRow.provider, MessageRow.attempts).where(MessageRow.contact_id == contact_id)
    )
    handed: dict[str, set[str]] = defaultdict(set)
    for message_id, latest, attempts in found:
        for provider in {latest, *(attempt.get("provider") for attempt in attempts)}:
            if isinstance(provider, str):
                handed[provider].add(message_id)
    return handed


async def changes_told(session: AsyncSession, contact_id: str) -> int:
    """How many changes of the contact the CRM webhook's receiver may know."""
    told = select(func.count()).where(
        CrmChangeRow.contact_id == contact_id, col(CrmChangeRow.mirror).in_(("owed", "told"))
    )
    return (await session.exec(told)).one()
