"""Broadcasts: one message to many contacts, at a time."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from api.acting import PersonIfSaid
from api.broadcast_request import BroadcastRequest, require_sendable
from api.broadcast_view import BroadcastResult, BroadcastView
from api.content import require_json
from api.paging import Page, PageRequest, page_of
from api.problems import ProblemError, answers, invalid_request, key_reused, not_found
from api.routers.enrolling import IdempotencyKey
from api.telling import tell
from api.wiring import Services, Wired
from domain.broadcasts import BroadcastStatus
from runtime.broadcasting import tell_broadcast
from store.audiences import UnknownSource
from store.broadcasts import (
    CannotChange,
    add_broadcast,
    broadcast_by_key,
    change_broadcast,
    page_of_broadcasts,
)
from store.enrollments import KeyReused
from store.list_tables import BroadcastRow

router = APIRouter(prefix="/v1/broadcasts", tags=["broadcasts"])

_NO_BROADCAST = not_found("broadcast with this id")


def _over(status: str) -> ProblemError:
    return ProblemError(
        409, "not-now", "The broadcast cannot do this now", f"it is {status}: nothing goes out any more"
    )


class BroadcastsRequest(PageRequest):
    status: BroadcastStatus | None = None


@router.post(
    "",
    status_code=202,
    dependencies=[Depends(require_json)],
    responses={
        202: {"headers": {"Location": {"description": "the broadcast's address", "schema": {"type": "string"}}}},
        **answers(400, 415, 422),
    },
)
async def make_broadcast(
    request: BroadcastRequest,
    response: Response,
    services: Wired,
    asker: PersonIfSaid,
    idempotency_key: IdempotencyKey = None,
) -> BroadcastView:
    """Send a message of `emails/broadcast/` to contacts of a segment or an import, or by their ids.

    It is stored, and begins by itself. Each contact gets it once at the most, whatever crashes, and only if they may be
    written to about its topic; who does not get it is listed with the reason.
    """
    request_hash = request.hashed()
    require_sendable(services, request)
    try:
        async with services.database.write() as session:
            row = await broadcast_by_key(session, idempotency_key, request_hash) or await add_broadcast(
                session,
                request,
                idempotency_key=idempotency_key,
                request_hash=request_hash,
                requested_by=asker.id if asker else None,
            )
    except KeyReused:
        raise key_reused() from None
    except UnknownSource as error:
        raise invalid_request([{"loc": ("body", "source"), "msg": str(error)}]) from None
    if row.begun_at is None:
        await _tell(services, row)
    response.headers["Location"] = f"/v1/broadcasts/{row.id}"
    return BroadcastView.of(row)


@router.get("", responses=answers(422))
async def list_broadcasts(query: Annotated[BroadcastsRequest, Query()], services: Wired) -> Page[BroadcastView]:
    """Broadcasts, newest first."""
    async with services.database.read() as session:
        rows = await page_of_broadcasts(session, limit=query.limit + 1, before=query.before(), status=query.status)
    return page_of(rows, query.limit, BroadcastView.of)


@router.get("/{broadcast_id}", responses=answers(_NO_BROADCAST, 422))
async def read_broadcast(broadcast_id: UUID, services: Wired) -> BroadcastResult:
    """One broadcast, with what came of it so far: by status, by variant, and its goal against the holdout."""
    async with services.database.read() as session:
        row = await session.get(BroadcastRow, str(broadcast_id))
        if row is None:
            raise _NO_BROADCAST
        return await BroadcastResult.with_counts(session, row)


@router.post("/{broadcast_id}/hold", responses=answers(_NO_BROADCAST, _over("finished"), 422))
async def hold_broadcast(broadcast_id: UUID, services: Wired) -> BroadcastView:
    """Hand over no more of it until it is resumed. What is under way, a batch or two, still goes out."""
    return await _changed(services, broadcast_id, BroadcastStatus.HELD)


@router.post("/{broadcast_id}/resume", responses=answers(_NO_BROADCAST, _over("cancelled"), 422))
async def resume_broadcast(broadcast_id: UUID, services: Wired) -> BroadcastView:
    """Go on after a hold. Twice changes nothing."""
    return await _changed(services, broadcast_id, BroadcastStatus.SENDING)


@router.post("/{broadcast_id}/cancel", status_code=202, responses=answers(_NO_BROADCAST, _over("finished"), 422))
async def cancel_broadcast(broadcast_id: UUID, services: Wired) -> BroadcastView:
    """Hand over no more of it, for good. Whoever has not got it is listed as skipped. Twice changes nothing."""
    return await _changed(services, broadcast_id, BroadcastStatus.CANCELLING)


async def _changed(services: Services, broadcast_id: UUID, to: BroadcastStatus) -> BroadcastView:
    try:
        async with services.database.write() as session:
            row = await change_broadcast(session, str(broadcast_id), to)
    except CannotChange as error:
        raise _over(str(error)) from None
    if row is None:
        raise _NO_BROADCAST
    if row.to_tell_since is not None:
        await _tell(services, row)
    return BroadcastView.of(row)


async def _tell(services: Services, row: BroadcastRow) -> None:
    await tell(tell_broadcast(row, services.client, services.database), f"broadcast {row.id}")
