"""A person's word on the gate of a bulk enrollment: told to its workflow, which alone decides whether it counts."""

from __future__ import annotations

from api.answer_problems import no_longer_pending, not_yours
from api.problems import ProblemError
from api.wiring import Services
from domain.bulk_enrollments import GateDecision, gate_after
from domain.people import Person
from runtime.bulk_enrolling import DecisionRefused, tell_decision
from runtime.runs import TemporalUnavailable
from store.bulk_gates import gates_of, pilot_of
from store.list_tables import BulkEnrollmentRow


def not_heard() -> ProblemError:
    return ProblemError(
        503,
        "flow-unavailable",
        "The bulk enrollment could not be told",
        "nobody knows yet whether it counts: send the same request again, which counts once",
        headers={"Retry-After": "5"},
    )


async def decided(
    services: Services, job: BulkEnrollmentRow, decision: GateDecision, person: Person
) -> BulkEnrollmentRow:
    """The bulk enrollment after a decision that counts, now or since it was made before.

    Raises: ProblemError 403 if this person is not asked, 409 if nothing waits for it, 503 if it could not be told.
    """
    _require_right(job, decision.stage, person)
    try:
        await tell_decision(decision, services.client)
    except DecisionRefused:
        pass  # also of one that counted long ago, and whose run is gone: the row tells
    except TemporalUnavailable:
        raise not_heard() from None
    async with services.database.read() as session:
        after = await session.get_one(BulkEnrollmentRow, job.id)
    wanted = (decision.stage, "approved" if decision.approved else "declined", person.id)
    if not any((gate.stage, gate.outcome, gate.person_id) == wanted for gate in gates_of(after)):
        raise no_longer_pending(_why_not(after, decision.stage))
    return after


def _require_right(job: BulkEnrollmentRow, stage: int, person: Person) -> None:
    """Raises: ProblemError 403, or 409 for a gate that asks nobody."""
    pilot = pilot_of(job)
    approval = gate_after(pilot, stage).approval if pilot and stage < len(pilot.stages) - 1 else None
    if approval is None:
        raise no_longer_pending("there is no gate after this stage that asks a person")
    if approval.role not in person.roles:
        raise not_yours(f"header.Cauce-Person: the gate asks somebody in the role {approval.role}")
    if person.id == job.requested_by and not approval.asker_may_decide:
        raise not_yours("header.Cauce-Person: who asked for the bulk enrollment does not approve it")


def _why_not(job: BulkEnrollmentRow, stage: int) -> str:
    gate = next((gate for gate in gates_of(job) if gate.stage == stage), None)
    if gate is None:
        return "it has not come to this gate yet"
    if gate.outcome is not None:
        return f"the gate was {gate.outcome}"
    return f"the gate does not wait for a person now: it is {job.status.replace('_', ' ')}"
