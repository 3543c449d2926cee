"""A bulk enrollment as the API shows it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.wiring import Services
from domain.bulk_enrollments import GateRecord, JobStatus, Pilot, stage_end
from runtime.bulk_enrolling import bulk_workflow_id
from store.bulk_gates import gates_of, pilot_of
from store.list_tables import BulkEnrollmentRow


class BulkEnrollmentView(BaseModel):
    """Many contacts being enrolled in one flow."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0193f0c2-b1d0-7c11-8a55-3d1f0a2b4c6d",
                "flow": "reactivation",
                "status": "halted",
                "reason": "complaint rate 0.40% (4 of 1000) of messages is above 0.30%",
                "source": {"segment_id": "0193f0c2-a0b1-7d22-9c33-4e5f6a7b8c9d"},
                "settings": {},
                "per_second": 50.0,
                "size": 100000,
                "position": 1004,
                "enrolled": 1000,
                "refused": 4,
                "refusals": {"already_active": 3, "suppressed_unsubscribed": 1},
                "pilot": {"stages": [{"share": 0.01}, {"share": 1.0}]},
                "stage": 0,
                "stage_end": 1000,
                "gates": [],
                "requested_by": None,
                "workflow_id": "bulk:0193f0c2-b1d0-7c11-8a55-3d1f0a2b4c6d",
                "temporal_url": "http://127.0.0.1:8233/namespaces/default/workflows/"
                "bulk:0193f0c2-b1d0-7c11-8a55-3d1f0a2b4c6d",
                "created_at": "2026-11-23T09:30:00Z",
                "ended_at": None,
            }
        }
    )

    id: str
    flow: str
    status: JobStatus
    reason: str | None = Field(description="why it was halted or cancelled")
    source: dict[str, JsonValue] = Field(description="a segment, an import, or how many contacts were given by id")
    settings: dict[str, JsonValue] = Field(description="what each enrollment changes of the flow's settings")
    per_second: float = Field(description="enrollments a second, at most")
    size: int | None = Field(description="contacts it is for; null: they are not counted yet")
    position: int = Field(description="how many of them were looked at")
    enrolled: int
    refused: int = Field(description="who may not be enrolled: GET …/refused lists them")
    refusals: dict[str, int] = Field(description="how many of those, by reason")
    pilot: Pilot | None
    stage: int = Field(description="from 0")
    stage_end: int | None = Field(description="how many are looked at once this stage is enrolled")
    gates: list[GateRecord] = Field(description="those that it has come to, in order")
    requested_by: str | None = Field(description="the person who asked for it")
    workflow_id: str = Field(description="in Temporal")
    temporal_url: str = Field(description="in the Temporal Web UI")
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, row: BulkEnrollmentRow, services: Services) -> BulkEnrollmentView:
        pilot, workflow_id = pilot_of(row), bulk_workflow_id(row.id)
        ui = str(services.settings.temporal_ui_url).rstrip("/")
        return cls(
            **row.model_dump(include=_AS_STORED),
            status=JobStatus(row.status),
            refused=sum(row.refusals.values()),
            pilot=pilot,
            stage_end=None if row.size is None else stage_end(pilot, row.stage, row.size),
            gates=gates_of(row),
            workflow_id=workflow_id,
            temporal_url=f"{ui}/namespaces/{services.client.namespace}/workflows/{workflow_id}",
        )


_AS_STORED = (BulkEnrollmentView.model_fields.keys() & BulkEnrollmentRow.model_fields.keys()) - {
    "status",
    "pilot",
    "gates",
}


def bulk_enrollment_url(job_id: str) -> str:
    return f"/v1/bulk-enrollments/{job_id}"
