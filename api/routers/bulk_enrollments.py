"""Putting many contacts into a flow, at a rate and in stages; and what people say of it meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.acting import ActingPerson, PersonIfSaid
from api.answer_problems import no_longer_pending, not_yours
from api.asked_people import require_people_to_ask
from api.bulk_deciding import decided, not_heard
from api.bulk_enrollment_view import BulkEnrollmentView, bulk_enrollment_url
from api.content import require_json
from api.flow_settings import checked_settings
from api.paging import Page, PageRequest, page_of
from api.problems import ProblemError, answers, invalid_request, key_reused, not_found
from api.routers.enrolling import IdempotencyKey
from api.routers.flows import flow_named
from api.telling import tell
from api.wiring import Services, Wired
from domain.audiences import AudienceSource
from domain.bulk_enrollments import PER_SECOND, GateDecision, JobStatus, PerSecond, Pilot
from domain.limits import JsonObject, Text
from domain.people import Person
from runtime.bulk_enrolling import begin_bulk_enrollment, tell_bulk_enrollment
from store import bulk_enrollments
from store.audiences import UnknownSource
from store.bulk_enrollments import Unfit, insert_job, job_by_key, lock_job, page_of_jobs, page_of_refused
from store.enrollments import KeyReused
from store.list_tables import BulkEnrollmentRow

router = APIRouter(prefix="/v1", tags=["bulk enrollments"])

_NO_JOB = not_found("bulk enrollment with this id")
_A_LOCATION = {"headers": {"Location": {"description": "its address", "schema": {"type": "string"}}}}


def _unfit(status: JobStatus) -> ProblemError:
    detail = {
        JobStatus.HALTED: "it was halted: POST …/resume with a note and the header Cauce-Person lets it go on",
    }.get(status, f"it is {status.replace('_', ' ')}")
    return ProblemError(409, "not-now", "The bulk enrollment cannot do this now", detail)


class BulkEnrollmentRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "source": {"contact_ids": ["0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11"]},
                    "per_second": 20.0,
                    "pilot": {
                        "stages": [
                            {"count": 1000, "gate": {"after": "P1D", "complaint_rate_at_most": 0.002}},
                            {"share": 0.1, "gate": {"after": "P2D", "approval": {"role": "marketing"}}},
                            {"share": 1.0},
                        ]
                    },
                }
            ]
        },
    )

    source: AudienceSource
    settings: JsonObject = Field(
        default_factory=dict, description="overrides of the flow's settings, for each of the enrollments"
    )
    per_second: PerSecond = Field(default=PER_SECOND, description="enrollments a second, at most")
    pilot: Pilot | None = Field(default=None, description="null: all in one stage, without gates")

    def hash_for(self, flow: str) -> str:
        """Tells one request from another under the same idempotency key."""
        request = {"flow": flow, **self.model_dump(mode="json", exclude_unset=True)}
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


class BulkEnrollmentsRequest(PageRequest):
    flow: Annotated[str, Field(max_length=100)] | None = None
    status: JobStatus | None = None


class RefusedRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")] | None = Field(
        default=None, description="the `next_cursor` of the page before"
    )


class RefusedContact(BaseModel):
    contact_id: str
    reason: str = Field(examples=["already_active", "not_yet_again", "being_erased", "suppressed_hard_bounce"])


class ResumeRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: Annotated[Text, Field(min_length=1)] | None = Field(
        default=None, description="of one that was halted, needed: why it goes on all the same; nothing personal"
    )


class GateWord(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stage: Annotated[int, Field(strict=True, ge=0, lt=100)] = Field(
        description="the stage whose gate it is, as `gates` tells: a word said twice counts for one gate", examples=[0]
    )
    note: Text | None = Field(default=None, description="nothing personal")


@router.post(
    "/flows/{flow}/enrollments/bulk",
    status_code=202,
    dependencies=[Depends(require_json)],
    responses={202: _A_LOCATION, **answers(400, 404, 415, 422)},
)
async def enroll_in_bulk(
    flow: str,
    request: BulkEnrollmentRequest,
    response: Response,
    services: Wired,
    asker: PersonIfSaid,
    idempotency_key: IdempotencyKey = None,
) -> BulkEnrollmentView:
    """Enroll contacts of a segment or an import as they are now, or by their ids, in an order drawn by lot.

    Each is enrolled once, whatever crashes; who may not be is listed with the reason. With a `pilot` only its first
    stage is enrolled, and the next after the gate has let it on.
    """
    chosen = flow_named(flow, services)
    settings = checked_settings(chosen, request.settings)
    request_hash = request.hash_for(flow)
    new = BulkEnrollmentRow(
        flow=flow,
        source={},
        settings=settings.model_dump(mode="json", exclude_unset=True),
        pilot=None if request.pilot is None else request.pilot.model_dump(mode="json"),
        per_second=request.per_second,
        status=JobStatus.PREPARING,
        idempotency_key=idempotency_key,
        request_hash=request_hash,
        requested_by=asker.id if asker else None,
    )
    try:
        async with services.database.write() as session:
            job = await job_by_key(session, flow, idempotency_key, request_hash)
            if job is None:
                await require_people_to_ask(session, settings)
                job = await insert_job(session, new, request.source)
            if job is None:  # the same request came at the same time
                job = await job_by_key(session, flow, idempotency_key, request_hash)
    except KeyReused:
        raise key_reused() from None
    except UnknownSource as error:
        raise invalid_request([{"loc": ("body", "source"), "msg": str(error)}]) from None
    assert job is not None  # noqa: S101 (its key was taken, by one that is there)
    if job.begun_at is None:
        await tell(begin_bulk_enrollment(job, services.client, services.database), f"bulk enrollment {job.id}")
    response.headers["Location"] = bulk_enrollment_url(job.id)
    return BulkEnrollmentView.of(job, services)


@router.get("/bulk-enrollments", responses=answers(422))
async def list_bulk_enrollments(
    query: Annotated[BulkEnrollmentsRequest, Query()], services: Wired
) -> Page[BulkEnrollmentView]:
    """Bulk enrollments, newest first."""
    async with services.database.read() as session:
        rows = await page_of_jobs(
            session, limit=query.limit + 1, before=query.before(), flow=query.flow, status=query.status
        )
    return page_of(rows, query.limit, lambda row: BulkEnrollmentView.of(row, services))


@router.get("/bulk-enrollments/{job_id}", responses=answers(_NO_JOB, 422))
async def read_bulk_enrollment(job_id: UUID, services: Wired) -> BulkEnrollmentView:
    """One bulk enrollment: how far it is, and what its gates found."""
    return BulkEnrollmentView.of(await _job(services, job_id), services)


@router.get("/bulk-enrollments/{job_id}/refused", responses=answers(_NO_JOB, 422))
async def list_refused_contacts(
    job_id: UUID, query: Annotated[RefusedRequest, Query()], services: Wired
) -> Page[RefusedContact]:
    """Contacts who were looked at and not enrolled, in the order in which they were, and why."""
    job = await _job(services, job_id)
    after = -1 if query.cursor is None else int(query.cursor)
    async with services.database.read() as session:
        members = await page_of_refused(session, job.id, after, query.limit + 1)
    shown = members[: query.limit]
    return Page(
        items=[RefusedContact(contact_id=each.contact_id, reason=each.reason) for each in shown],
        next_cursor=str(shown[-1].position) if len(members) > query.limit else None,
    )


@router.post("/bulk-enrollments/{job_id}/hold", responses=answers(_NO_JOB, _unfit(JobStatus.FINISHED), 422))
async def hold_bulk_enrollment(job_id: UUID, services: Wired) -> BulkEnrollmentView:
    """Enroll nobody more until it is resumed. Who is enrolled goes on; the time of a gate goes on too.

    Twice changes nothing.
    """
    return await _changed(services, job_id, bulk_enrollments.hold)


@router.post(
    "/bulk-enrollments/{job_id}/resume",
    dependencies=[Depends(require_json)],
    responses=answers(400, _NO_JOB, _unfit(JobStatus.HALTED), 415, 422),
)
async def resume_bulk_enrollment(
    job_id: UUID, services: Wired, person: PersonIfSaid, request: ResumeRequest | None = None
) -> BulkEnrollmentView:
    """Go on after a hold. One that was halted goes on with its next stage, if a person says why.

    Twice changes nothing.
    """
    person_id, note = person.id if person else None, request.note if request else None
    return await _changed(services, job_id, lambda job: bulk_enrollments.resume(job, person_id, note))


@router.post("/bulk-enrollments/{job_id}/cancel", responses=answers(_NO_JOB, _unfit(JobStatus.FINISHED), 422))
async def cancel_bulk_enrollment(job_id: UUID, services: Wired, person: PersonIfSaid) -> BulkEnrollmentView:
    """Enroll nobody more, for good. Who is enrolled goes on in the flow. Twice changes nothing."""
    by = f"person {person.id}" if person else "api"
    return await _changed(services, job_id, lambda job: bulk_enrollments.cancel(job, f"cancelled by {by}"))


_DECIDING = answers(400, not_yours(), _NO_JOB, no_longer_pending("no gate waits for a person"), 415, 422, not_heard())


@router.post("/bulk-enrollments/{job_id}/approve", dependencies=[Depends(require_json)], responses=_DECIDING)
async def approve_next_stage(job_id: UUID, word: GateWord, person: ActingPerson, services: Wired) -> BulkEnrollmentView:
    """Let it go on with its next stage, as somebody in the role that the gate asks. Twice counts once."""
    return await _decided(services, job_id, word, person, approved=True)


@router.post("/bulk-enrollments/{job_id}/decline", dependencies=[Depends(require_json)], responses=_DECIDING)
async def decline_next_stage(job_id: UUID, word: GateWord, person: ActingPerson, services: Wired) -> BulkEnrollmentView:
    """Halt it at the gate that waits for a person. Twice counts once."""
    return await _decided(services, job_id, word, person, approved=False)


async def _job(services: Services, job_id: UUID) -> BulkEnrollmentRow:
    async with services.database.read() as session:
        job = await session.get(BulkEnrollmentRow, str(job_id))
    if job is None:
        raise _NO_JOB
    return job


async def _changed(services: Services, job_id: UUID, change: Callable[[BulkEnrollmentRow], None]) -> BulkEnrollmentView:
    """Store first, then tell: its workflow heeds the row before whatever it does next, also untold."""
    async with services.database.write() as session:
        job = await lock_job(session, str(job_id))
        if job is None:
            raise _NO_JOB
        try:
            change(job)
        except Unfit as unfit:
            raise _unfit(unfit.status) from None
        session.add(job)
    if job.to_tell_since is not None:
        await tell(tell_bulk_enrollment(job, services.client, services.database), f"bulk enrollment {job.id}")
    return BulkEnrollmentView.of(job, services)


async def _decided(
    services: Services, job_id: UUID, word: GateWord, person: Person, *, approved: bool
) -> BulkEnrollmentView:
    job = await _job(services, job_id)
    decision = GateDecision(job_id=job.id, stage=word.stage, person_id=person.id, approved=approved, note=word.note)
    return BulkEnrollmentView.of(await decided(services, job, decision, person), services)
