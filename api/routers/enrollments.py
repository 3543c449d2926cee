"""Enrollments: where they are, how they ended, holding and cancelling them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from api.enrollment_view import EnrollmentStatus, EnrollmentView, as_it_is, without_asking
from api.paging import Page, PageRequest, cursor_after
from api.problems import answers, not_found
from api.telling import tell
from api.wiring import Services, Wired
from store.enrollments import request_cancel
from store.holds import Change, Scope, hold, resume
from store.listings import page_of_enrollments
from store.tables import EnrollmentRow

router = APIRouter(prefix="/v1/enrollments", tags=["enrollments"])


class EnrollmentsRequest(PageRequest):
    flow: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")] | None = Field(default=None, examples=["onboarding"])
    status: EnrollmentStatus | None = None
    contact_id: UUID | None = None


@router.get("", responses=answers(422))
async def list_enrollments(query: Annotated[EnrollmentsRequest, Query()], services: Wired) -> Page[EnrollmentView]:
    """Enrollments, newest first."""
    async with services.database.read() as session:
        rows = await page_of_enrollments(
            session,
            limit=query.limit + 1,
            before=query.before(),
            flow=query.flow,
            status=query.status,
            contact_id=str(query.contact_id) if query.contact_id else None,
        )
    return Page(
        items=await as_it_is(services, rows[: query.limit]),
        next_cursor=cursor_after([row.id for row in rows], query.limit),
    )


@router.get("/{enrollment_id}", responses=answers(404, 422))
async def read_enrollment(enrollment_id: UUID, services: Wired) -> EnrollmentView:
    """One enrollment."""
    async with services.database.read() as session:
        row = await session.get(EnrollmentRow, str(enrollment_id))
    if row is None:
        raise not_found("enrollment with this id")
    (view,) = await as_it_is(services, [row])
    return view


@router.post("/{enrollment_id}/cancel", status_code=202, responses=answers(404, 422))
async def cancel_enrollment(enrollment_id: UUID, services: Wired) -> EnrollmentView:
    """End an enrollment: it sends nothing from here on.

    Doing it twice, or once it has ended, changes nothing: `status` and `outcome` say so.
    """
    async with services.database.write() as session:
        row = await request_cancel(session, str(enrollment_id))
    if row is None:
        raise not_found("enrollment with this id")
    if row.status == "active" and row.cancel_told_at is None:
        await tell(services.dispatcher.cancel(row), f"cancellation of enrollment {row.id}")
    return await without_asking(services, row)


@router.post("/{enrollment_id}/hold", status_code=202, responses=answers(404, 422))
async def hold_enrollment(enrollment_id: UUID, services: Wired) -> EnrollmentView:
    """Hold an enrollment: it starts nothing and its waits stop counting, until it is resumed. Exits still work.

    Doing it twice, or once it has ended, changes nothing: `status` and `held` say so.
    """
    return await _change(services, enrollment_id, hold)


@router.post("/{enrollment_id}/resume", status_code=202, responses=answers(404, 422))
async def resume_enrollment(enrollment_id: UUID, services: Wired) -> EnrollmentView:
    """Lift an enrollment's own hold. It goes on unless its contact or its flow is held too."""
    return await _change(services, enrollment_id, resume)


async def _change(services: Services, enrollment_id: UUID, change: Change) -> EnrollmentView:
    async with services.database.write() as session:
        row = await session.get(EnrollmentRow, str(enrollment_id), with_for_update=True)
        if row is None:
            raise not_found("enrollment with this id")
        if row.status == "active":
            await change(session, Scope.ENROLLMENT, row.id)
    if row.status == "active":
        await tell(services.dispatcher.tell_hold(row), f"hold of enrollment {row.id}")
    return await without_asking(services, row)
