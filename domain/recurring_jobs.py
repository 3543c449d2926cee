"""What a schedule does each time: a bulk enrollment or a broadcast, as it would be asked for once."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from domain.audiences import AudienceSource
from domain.broadcasts import BroadcastOrder
from domain.bulk_enrollments import PER_SECOND, PerSecond, Pilot
from domain.limits import JsonObject


class JobKind(StrEnum):
    BULK_ENROLLMENT = "bulk_enrollment"
    BROADCAST = "broadcast"


def _not_by_id(source: AudienceSource) -> AudienceSource:
    if source.contact_ids is not None:
        raise ValueError("a schedule needs a segment or an import: contacts by id would be the same each time")
    return source


RecurringSource = Annotated[AudienceSource, AfterValidator(_not_by_id)]


class RecurringBulkEnrollment(BaseModel):
    """As POST /v1/flows/{flow}/enrollments/bulk takes it, with the flow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flow: Annotated[str, StringConstraints(max_length=100)] = Field(examples=["reactivation"])
    source: RecurringSource
    settings: JsonObject = Field(default_factory=dict, description="overrides of the flow's settings")
    per_second: PerSecond = Field(default=PER_SECOND, description="enrollments a second, at most")
    pilot: Pilot | None = None


class RecurringBroadcast(BroadcastOrder):
    """As POST /v1/broadcasts takes it, but for its time, which the schedule tells."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: RecurringSource

    @model_validator(mode="after")
    def _without_a_time(self) -> Self:
        if self.at is not None or self.at_local is not None:
            raise ValueError("at and at_local are one moment: the schedule tells when it goes out")
        return self


def job_key(schedule_id: str, nominal: datetime) -> str:
    """The idempotency key of what a schedule makes for one of its times, to the second."""
    return f"schedule:{schedule_id}:{nominal.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
