"""An enrollment as the API shows it: what the database holds, and where Temporal says that it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.wiring import Services
from domain.flows import Exit, Progress, enrollment_workflow_id
from store.holds import held_among
from store.tables import EnrollmentRow

ASKED_AT_ONCE = 10
PATIENCE_SECONDS = 3.0

EnrollmentStatus = Literal["active", "ended"]


class OutcomeView(BaseModel):
    exit: Exit
    step: str | None = Field(description="the step that the contact had come to")
    reason: str | None
    ended_at: datetime | None


class EnrollmentView(BaseModel):
    """One contact in one flow."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0193f0c2-8d4b-7a10-8f7e-6f0a1c2b3d4e",
                "flow": "onboarding",
                "contact_id": "0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11",
                "status": "active",
                "held": False,
                "step": "activated",
                "next_wake_at": "2026-11-26T09:30:00Z",
                "skipped_steps": [],
                "outcome": None,
                "workflow_id": "onboarding:0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11",
                "temporal_url": "http://127.0.0.1:8233/namespaces/default/workflows/"
                "onboarding:0193f0c2-7c3a-7d3e-9a51-0c5f2f6b8d11",
                "settings": {"hand_after": "P2D"},
                "created_at": "2026-11-23T09:30:00Z",
            }
        }
    )

    id: str
    flow: str
    contact_id: str
    status: EnrollmentStatus
    held: bool = Field(description="it, its contact or its flow is held: it starts nothing, and its waits do not count")
    step: str | None = Field(description="where the contact is; null: nobody can say now")
    next_wake_at: datetime | None = Field(description="until when the step waits at the latest")
    skipped_steps: list[str] = Field(description="inserted by edits of the flow where the contact had passed")
    outcome: OutcomeView | None = Field(description="how it ended; null while it is active")
    workflow_id: str = Field(description="in Temporal")
    temporal_url: str = Field(description="in the Temporal Web UI")
    settings: dict[str, JsonValue] = Field(description="what the enrollment changes of the flow's settings")
    created_at: datetime


def enrollment_url(enrollment_id: str) -> str:
    return f"/v1/enrollments/{enrollment_id}"


def as_enrolled(services: Services, row: EnrollmentRow, *, held: bool) -> EnrollmentView:
    """The enrollment as it was when it was made, `held` or not, whatever has happened since."""
    return _view(services, row, "active", held, Progress(), None)


async def as_it_is(services: Services, rows: Sequence[EnrollmentRow]) -> list[EnrollmentView]:
    """The enrollments as they are. Those that Temporal does not answer for in time come without a step."""
    turns = asyncio.Semaphore(ASKED_AT_ONCE)

    async def ask(row: EnrollmentRow) -> Progress:
        async with turns:
            return await services.dispatcher.progress(row)

    asked = {row.id: asyncio.create_task(ask(row)) for row in rows if row.status == "active" and row.started_at}
    if asked:
        _, unanswered = await asyncio.wait(asked.values(), timeout=PATIENCE_SECONDS)
        for task in unanswered:
            task.cancel()
    progress = {row_id: task.result() for row_id, task in asked.items() if task.done()}
    async with services.database.read() as session:
        held = await held_among(session, rows)
    return [_as_it_is(services, row, row.id in held, progress.get(row.id, Progress())) for row in rows]


async def without_asking(services: Services, row: EnrollmentRow) -> EnrollmentView:
    """The enrollment as far as the database knows it."""
    async with services.database.read() as session:
        held = await held_among(session, [row])
    return _as_it_is(services, row, row.id in held, Progress())


def _as_it_is(services: Services, row: EnrollmentRow, held: bool, progress: Progress) -> EnrollmentView:
    if row.status == "active":
        return _view(services, row, "active", held, progress, None)
    outcome = OutcomeView(exit=Exit(str(row.exit)), step=row.last_step, reason=row.exit_reason, ended_at=row.ended_at)
    return _view(services, row, "ended", False, Progress(step=row.last_step, skipped=row.skipped_steps), outcome)


def _view(
    services: Services,
    row: EnrollmentRow,
    status: EnrollmentStatus,
    held: bool,
    progress: Progress,
    outcome: OutcomeView | None,
) -> EnrollmentView:
    workflow_id = enrollment_workflow_id(row.flow, row.contact_id)
    ui = str(services.settings.temporal_ui_url).rstrip("/")
    return EnrollmentView(
        id=row.id,
        flow=row.flow,
        contact_id=row.contact_id,
        status=status,
        held=held,
        step=progress.step,
        next_wake_at=progress.next_wake_at,
        skipped_steps=progress.skipped,
        outcome=outcome,
        workflow_id=workflow_id,
        temporal_url=f"{ui}/namespaces/{services.client.namespace}/workflows/{workflow_id}",
        settings=row.settings,
        created_at=row.created_at,
    )
