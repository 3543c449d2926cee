"""Erasing contacts, and the certificates that say what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.acting import PersonIfSaid
from api.paging import Page, PageRequest, page_of
from api.problems import answers, not_found
from api.telling import tell
from api.wiring import Wired
from domain.erasure import Asked, FlowsLeft, HistoriesDeleted, ProviderAsked, RowsDeleted
from store.erasure_requests import request_erasure
from store.erasures import certificate, page_of_erasures
from store.tables import ErasureRow

router = APIRouter(prefix="/v1", tags=["erasures"])

ErasureStatus = Literal["under_way", "finished"]


class ErasureView(BaseModel):
    """What is done of an erasure, part by part; a part that is null is still to come. It does not say whose it is."""

    id: str = Field(examples=["0193f0c2-9a10-7b42-9b1f-0c6b1f6a2e11"])
    status: ErasureStatus
    requested_by: str = Field(description="`api`, or the id of the person that `Cauce-Person` named")
    requested_at: datetime
    finished_at: datetime | None
    flows: FlowsLeft | None = Field(description="enrollments that had to end")
    providers: list[ProviderAsked] | None = Field(description="who had messages, and what came of asking them to erase")
    rows: RowsDeleted | None = Field(description="what was deleted from the database")
    histories: HistoriesDeleted | None = Field(description="workflow runs that were deleted from Temporal")
    kept: list[str] = Field(
        description="what stays, so that the address is not written to again",
        examples=[["suppressions: keyed hash of the address"]],
    )
    by_hand: list[str] = Field(description="who has to be asked by a person", examples=[["smtp"]])


class ErasuresRequest(PageRequest):
    status: ErasureStatus | None = None


@router.delete(
    "/contacts/{contact_id}",
    status_code=202,
    responses={
        202: {"headers": {"Location": {"description": "the erasure's address", "schema": {"type": "string"}}}},
        **answers(404, 422),
    },
)
async def erase_contact(contact_id: UUID, response: Response, services: Wired, asker: PersonIfSaid) -> ErasureView:
    """Erase a contact, with everything that is held of them. This cannot be undone.

    Nothing is sent to them from here on, and they leave every flow; the rest is done within minutes. Asked again
    meanwhile, the same erasure is answered; afterwards nobody knows the id any more: 404.
    """
    async with services.database.write() as session:
        row = await request_erasure(session, str(contact_id), asker.id if asker else "api")
    if row is None:
        raise not_found("contact with this id")
    await tell(services.dispatcher.erase(row), f"erasure {row.id}")
    response.headers["Location"] = f"/v1/erasures/{row.id}"
    return _view(row)


@router.get("/erasures", responses=answers(422))
async def list_erasures(query: Annotated[ErasuresRequest, Query()], services: Wired) -> Page[ErasureView]:
    """Erasures, newest first."""
    async with services.database.read() as session:
        rows = await page_of_erasures(session, limit=query.limit + 1, before=query.before(), status=query.status)
    return page_of(rows, query.limit, _view)


@router.get("/erasures/{erasure_id}", responses=answers(404, 422))
async def read_erasure(erasure_id: UUID, services: Wired) -> ErasureView:
    """One erasure; once it is finished, its certificate."""
    async with services.database.read() as session:
        row = await session.get(ErasureRow, str(erasure_id))
    if row is None:
        raise not_found("erasure with this id")
    return _view(row)


def _view(row: ErasureRow) -> ErasureView:
    done = certificate(row)
    return ErasureView(
        id=row.id,
        status="under_way" if row.finished_at is None else "finished",
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        **dict(done),
        kept=["suppressions: keyed hash of the address", "erasures: keyed hash of the address, and this certificate"],
        by_hand=[asked.provider for asked in done.providers or [] if asked.outcome is Asked.BY_HAND],
    )
