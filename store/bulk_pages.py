"""The pages of a bulk enrollment: as `store.enrollments.enroll`, for many contacts with a handful of statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.bulk_enrollments import JobStatus, Refused, stage_end
from domain.suppressions import STOPS_EVERYTHING, SuppressionReason
from store.among import among
from store.bulk_enrollments import finish
from store.bulk_gates import open_next_gate, pilot_of
from store.holds import Scope, open_holds
from store.insertion import insert_those_new
from store.list_tables import AudienceMemberRow, BulkEnrollmentRow
from store.suppressions import email_hashes
from store.tables import ContactRow, EnrollmentRow, ErasureRow, SuppressionRow, now

ORIGIN = "bulk"


class Candidate(NamedTuple):
    position: int
    contact_id: str
    email: str


async def enroll_next(
    session: AsyncSession, job: BulkEnrollmentRow, *, reenroll_after: timedelta | None, limit: int
) -> list[EnrollmentRow] | None:
    """Enroll the next `limit` positions of a locked job's stage, those who may be; answer the new enrollments.

    None: nothing is to be done now, since it does not run, or its flow is held. The job's position and counters advance
    in the same transaction, and so do its finish and the opening of its next gate: whoever comes again goes on behind.
    Who may not be enrolled is noted with the reason. Rules: as `enroll`, and no suppressed address.
    """
    if job.status != JobStatus.RUNNING or job.size is None or await open_holds(session, Scope.FLOW, [job.flow]):
        return None
    pilot = pilot_of(job)
    stage_ends = stage_end(pilot, job.stage, job.size)
    ends = min(job.position + limit, stage_ends)
    members = await _candidates(session, job, ends)
    refused = await _refusals(session, job.flow, members, reenroll_after)
    enrolled = await _insert(session, job, [each for each in members if each.contact_id not in refused])
    # Waited for above: whoever else enrolled one of them in this moment came first.
    came_first = {each.contact_id for each in members} - refused.keys() - {row.contact_id for row in enrolled}
    refused.update(dict.fromkeys(came_first, Refused.ALREADY_ACTIVE))
    await _note_refusals(session, job.id, [each for each in members if each.contact_id in refused], refused)
    job.position, job.enrolled = ends, job.enrolled + len(enrolled)
    job.refusals = dict(Counter(job.refusals) + Counter(map(str, refused.values())))
    if job.position >= job.size:
        finish(job)
    elif job.position >= stage_ends and pilot is not None:
        open_next_gate(job, pilot)
    session.add(job)
    return enrolled


async def not_started(session: AsyncSession, job_id: str, limit: int) -> list[EnrollmentRow]:
    """Its active enrollments whose workflows were not started: a crash has come between."""
    query = select(EnrollmentRow).where(
        EnrollmentRow.bulk_id == job_id, col(EnrollmentRow.started_at).is_(None), EnrollmentRow.status == "active"
    )
    return list(await session.exec(query.limit(limit)))


async def _candidates(session: AsyncSession, job: BulkEnrollmentRow, ends: int) -> list[Candidate]:
    """By their ids, so that two who enroll the same ones wait for each other in one order. None comes to be erased."""
    query = (
        select(AudienceMemberRow.position, ContactRow.id, ContactRow.email)
        .join(ContactRow, col(ContactRow.id) == col(AudienceMemberRow.contact_id))
        .where(AudienceMemberRow.audience_id == job.id, AudienceMemberRow.position >= job.position)
        .where(AudienceMemberRow.position < ends)
        .order_by(col(ContactRow.id))
        .with_for_update(read=True, key_share=True, of=ContactRow)
    )
    return [Candidate(*row) for row in await session.exec(query)]


async def _refusals(
    session: AsyncSession, flow: str, candidates: Sequence[Candidate], reenroll_after: timedelta | None
) -> dict[str, str]:
    """Why contacts are not enrolled, by their id; who may be is not in it."""
    ids = [each.contact_id for each in candidates]
    theirs = (col(EnrollmentRow.flow) == flow, among(session, col(EnrollmentRow.contact_id), ids))
    active = await session.exec(select(EnrollmentRow.contact_id).where(*theirs, EnrollmentRow.status == "active"))
    refused: dict[str, str] = dict.fromkeys(active, Refused.ALREADY_ACTIVE)
    ended = select(EnrollmentRow.contact_id, func.max(EnrollmentRow.ended_at)).where(
        *theirs, EnrollmentRow.status == "ended"
    )
    last_ended = dict((await session.exec(ended.group_by(col(EnrollmentRow.contact_id)))).all())
    refused.update(dict.fromkeys(_too_early(last_ended, reenroll_after), Refused.NOT_YET_AGAIN))
    refused.update(await _suppressed(session, candidates))
    erasing = await session.exec(select(ErasureRow.contact_id).where(among(session, col(ErasureRow.contact_id), ids)))
    refused.update({contact_id: Refused.BEING_ERASED for contact_id in erasing if contact_id is not None})
    return refused


def _too_early(last_ended: Mapping[str, datetime | None], reenroll_after: timedelta | None) -> list[str]:
    at = now()
    return [
        contact_id
        for contact_id, ended_at in last_ended.items()
        if ended_at is not None and (reenroll_after is None or at < ended_at + reenroll_after)
    ]


async def _suppressed(session: AsyncSession, candidates: Sequence[Candidate]) -> dict[str, str]:
    """By contact: `suppressed_` and why, of several reasons one that stops everything."""
    ids = {hash_: each.contact_id for each in candidates for hash_ in email_hashes(session, each.email)}
    query = select(SuppressionRow.email_hash, SuppressionRow.reason).where(
        among(session, col(SuppressionRow.email_hash), ids)
    )
    reasons: dict[str, set[SuppressionReason]] = {}
    for hash_, reason in await session.exec(query):
        reasons.setdefault(ids[hash_], set()).add(SuppressionReason(reason))
    return {contact_id: f"suppressed_{_gravest(those)}" for contact_id, those in reasons.items()}


def _gravest(reasons: Collection[SuppressionReason]) -> SuppressionReason:
    return min(reasons, key=lambda reason: (reason not in STOPS_EVERYTHING, reason))


async def _insert(
    session: AsyncSession, job: BulkEnrollmentRow, candidates: Sequence[Candidate]
) -> list[EnrollmentRow]:
    rows = [
        EnrollmentRow(
            flow=job.flow,
            contact_id=each.contact_id,
            settings=job.settings,
            idempotency_key=f"{ORIGIN}:{job.id}:{each.contact_id}",
            origin=ORIGIN,
            requested_by=job.requested_by,
            bulk_id=job.id,
        )
        for each in candidates
    ]
    new = await insert_those_new(session, EnrollmentRow, [row.model_dump() for row in rows])
    return [row for row in rows if row.id in new]


async def _note_refusals(
    session: AsyncSession, job_id: str, members: Sequence[Candidate], reasons: Mapping[str, str]
) -> None:
    by_reason: dict[str, list[int]] = {}
    for each in members:
        by_reason.setdefault(reasons[each.contact_id], []).append(each.position)
    for reason, positions in by_reason.items():
        await session.exec(
            update(AudienceMemberRow)
            .where(col(AudienceMemberRow.audience_id) == job_id, col(AudienceMemberRow.position).in_(positions))
            .values(refused=reason)
            .execution_options(synchronize_session=False)
        )
