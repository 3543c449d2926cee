"""A schedule as a request asks for it, and what has to be so before it is accepted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue
from sqlmodel.ext.asyncio.session import AsyncSession

from api.asked_people import require_people_to_ask
from api.broadcast_request import require_sendable
from api.flow_settings import checked_settings
from api.problems import invalid_request
from api.wiring import Services
from domain.limits import Text
from domain.recurrence import Timetable
from domain.recurring_jobs import JobKind, RecurringBroadcast, RecurringBulkEnrollment
from store.schedules import Definition

_SEGMENT: JsonValue = {"segment_id": "0193f0c2-a0b1-7d22-9c33-4e5f6a7b8c9d"}


class ScheduleOrder(Timetable):
    name: Annotated[Text, Field(min_length=1)] = Field(examples=["Quiet customers, each Monday"])


class BulkEnrollmentSchedule(ScheduleOrder):
    """A bulk enrollment, each time of whoever is in the segment by then."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Quiet customers, each Monday",
                    "kind": "bulk_enrollment",
                    "job": {"flow": "reactivation", "source": _SEGMENT, "per_second": 20.0},
                    "recurrence": {"at": "09:00", "days": ["monday"]},
                    "time_zone": "America/Santiago",
                    "jitter": "PT10M",
                }
            ]
        }
    )

    kind: Literal[JobKind.BULK_ENROLLMENT]
    job: RecurringBulkEnrollment


class BroadcastSchedule(ScheduleOrder):
    """A broadcast, each time to whoever is in the segment by then."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "News of the month",
                    "kind": "broadcast",
                    "job": {"name": "News of the month", "message": "product-update", "source": _SEGMENT},
                    "recurrence": {"at": "10:30", "day_of_month": 1},
                }
            ]
        }
    )

    kind: Literal[JobKind.BROADCAST]
    job: RecurringBroadcast


ScheduleRequest = Annotated[BulkEnrollmentSchedule | BroadcastSchedule, Field(discriminator="kind")]


def definition_of(request: ScheduleRequest) -> Definition:
    given = request.model_dump(include=set(Timetable.model_fields), exclude_unset=True)
    return Definition(request.name, JobKind(request.kind), request.job, Timetable.model_validate(given))


async def require_possible(session: AsyncSession, services: Services, request: ScheduleRequest) -> None:
    """Raises: ProblemError 422 for what the job could not be asked for by itself."""
    if isinstance(request, BroadcastSchedule):
        require_sendable(services, request.job, "job")
        return
    flow = services.flows.get(request.job.flow)
    if flow is None:
        message = "is no flow: GET /v1/flows lists those that there are"
        raise invalid_request([{"loc": ("body", "job", "flow"), "msg": message}])
    await require_people_to_ask(session, checked_settings(flow, request.job.settings, "job"), "job")
