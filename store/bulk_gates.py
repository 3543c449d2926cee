"""The gates between the stages of a bulk enrollment: what they measure, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, exists, func
from sqlmodel import and_, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.bulk_enrollments import (
    GATED,
    Figures,
    GateDecision,
    GateRecord,
    JobStatus,
    Pilot,
    gate_after,
    open_gate,
    stage_end,
)
from domain.flows import Exit
from domain.messages import REACHED, MessageStatus
from store.ledger_tables import MessageRow
from store.list_tables import BulkEnrollmentRow
from store.tables import EnrollmentRow, now

_GATES = TypeAdapter(list[GateRecord])


def pilot_of(job: BulkEnrollmentRow) -> Pilot | None:
    return None if job.pilot is None else Pilot.model_validate(job.pilot)


def gates_of(job: BulkEnrollmentRow) -> list[GateRecord]:
    return _GATES.validate_python(job.gates)


def open_next_gate(job: BulkEnrollmentRow, pilot: Pilot) -> None:
    """Note that the stage is enrolled: the time of the gate after it begins."""
    at = now()
    opened = GateRecord(stage=job.stage, opened_at=at, due_at=at + gate_after(pilot, job.stage).after)
    _keep(job, [*gates_of(job), opened])
    job.status = JobStatus.AT_GATE


async def check_gate(session: AsyncSession, job: BulkEnrollmentRow) -> None:
    """Look at the figures of the gate that it stands at: it is halted, goes on, or waits on. Elsewhere nothing."""
    pilot, gates = pilot_of(job), gates_of(job)
    gate = open_gate(gates)
    if pilot is None or gate is None or job.status not in GATED:
        return
    plan = gate_after(pilot, gate.stage)
    gate.checked_at, gate.figures = now(), await figures_of(session, job.id)
    over = gate.checked_at >= gate.due_at
    if reason := plan.breach(gate.figures, over=over):
        gate.outcome, gate.reason, gate.closed_at = "halted", reason, gate.checked_at
        halt(job, reason)
    elif over and plan.approval is not None:
        gate.asked_at = gate.asked_at or gate.checked_at
        job.status = JobStatus.AWAITING_APPROVAL
    elif over:
        gate.outcome, gate.closed_at = "passed", gate.checked_at
        _go_on(job, pilot)
    _keep(job, gates)
    session.add(job)


def decide_gate(job: BulkEnrollmentRow, decision: GateDecision) -> bool:
    """Note a person's word; answer whether it counts: one is waited for, or they said the same of this gate before."""
    pilot, gates = pilot_of(job), gates_of(job)
    gate = next((gate for gate in gates if gate.stage == decision.stage), None)
    if gate is None or pilot is None:
        return False
    outcome = "approved" if decision.approved else "declined"
    if gate.outcome is not None:
        return (gate.outcome, gate.person_id) == (outcome, decision.person_id)
    if job.status != JobStatus.AWAITING_APPROVAL:
        return False
    gate.outcome = "approved" if decision.approved else "declined"
    gate.person_id, gate.note, gate.closed_at = decision.person_id, decision.note, now()
    _keep(job, gates)
    if decision.approved:
        _go_on(job, pilot)
    else:
        halt(job, "a person declined to let it go on")
    return True


def overrule(job: BulkEnrollmentRow, person_id: str, note: str) -> None:
    """Let one that a gate or a person halted go on with its next stage. Of any other it changes nothing."""
    pilot, gates = pilot_of(job), gates_of(job)
    if pilot is not None and gates and gates[-1].outcome in ("halted", "declined"):
        gates[-1] = gates[-1].model_copy(
            update={"outcome": "overruled", "person_id": person_id, "note": note, "closed_at": now()}
        )
        _keep(job, gates)
        _go_on(job, pilot)


def halt(job: BulkEnrollmentRow, reason: str) -> None:
    job.status, job.reason = JobStatus.HALTED, reason


async def figures_of(session: AsyncSession, job_id: str) -> Figures:
    """What came of everybody whom this bulk enrollment has enrolled so far, from enrollments and ledger."""
    ours = col(EnrollmentRow.bulk_id) == job_id
    message = (col(MessageRow.enrollment_id) == col(EnrollmentRow.id), col(MessageRow.person_id).is_(None))
    status = col(MessageRow.status)
    of_messages = select(
        func.count(),
        func.count().filter(status == MessageStatus.COMPLAINED),
        func.count().filter(status == MessageStatus.BOUNCED),
    ).select_from(EnrollmentRow)
    sent, complaints, bounces = (
        await session.exec(of_messages.join(MessageRow, and_(*message)).where(ours, status.in_(REACHED)))
    ).one()

    def ended_by(exit_: Exit, told_by: MessageStatus) -> ColumnElement[int]:
        untold = ~exists().where(*message, status == told_by).correlate(EnrollmentRow)
        return func.count().filter(col(EnrollmentRow.exit) == exit_, untold)

    of_enrollments = select(
        func.count(),
        func.count().filter(col(EnrollmentRow.exit) == Exit.GOAL),
        ended_by(Exit.COMPLAINED, MessageStatus.COMPLAINED),
        ended_by(Exit.BOUNCED, MessageStatus.BOUNCED),
    )
    enrolled, goals, also_complained, also_bounced = (await session.exec(of_enrollments.where(ours))).one()
    return Figures(
        enrolled=enrolled,
        goals=goals,
        sent=sent,
        complaints=complaints + also_complained,
        bounces=bounces + also_bounced,
    )


def _keep(job: BulkEnrollmentRow, gates: Sequence[GateRecord]) -> None:
    job.gates = [gate.model_dump(mode="json", exclude_none=True) for gate in gates]


def _go_on(job: BulkEnrollmentRow, pilot: Pilot) -> None:
    """To the next stage that has anybody in it: somebody is left, or there was no gate."""
    assert job.size is not None  # noqa: S101 (whom a gate comes after was counted)
    job.status, job.reason = JobStatus.RUNNING, None
    while stage_end(pilot, job.stage, job.size) <= job.position:
        job.stage += 1
