"""Everything that is held of a contact, as one file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from api.problems import answers, not_found
from api.wiring import Services, Wired
from store.ledger_tables import MessageRow
from store.personal_data import HOLDINGS, outliving, rows
from store.tables import ContactRow, now

router = APIRouter(prefix="/v1/contacts", tags=["contacts"])

_CHUNK = 64 * 1024
"""Bytes that are sent at once, at the least."""


@router.get(
    "/{contact_id}/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "everything that is held of the contact",
            "content": {"application/json": {"schema": {"type": "object"}}},
            "headers": {"Content-Disposition": {"description": "a name for the file", "schema": {"type": "string"}}},
        },
        **answers(404, 422),
    },
)
async def export_contact(contact_id: UUID, services: Wired) -> StreamingResponse:
    """Everything that is held of a contact, as one JSON object: by table, a list of rows, column by column.

    `outbox` has the emails that the outbox keeps. It is sent as it is read: one that is cut off is no JSON.
    """
    async with services.database.read() as session:
        if await session.get(ContactRow, str(contact_id)) is None:
            raise not_found("contact with this id")
    return StreamingResponse(
        _in_chunks(_pieces(services, str(contact_id))),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="contact-{contact_id}.json"'},
    )


async def _pieces(services: Services, contact_id: str) -> AsyncIterator[bytes]:
    yield b'{"exported_at": ' + to_json(now())
    async with services.database.read() as session:
        contact = await session.get(ContactRow, contact_id)
        if contact is not None:  # else erased in this moment: then there is nothing to show
            for holding in (*reversed(HOLDINGS), *outliving(session, contact)):
                async for piece in _listed(holding.name, rows(session, holding, contact)):
                    yield piece
                if holding.table is MessageRow:
                    async for piece in _listed("outbox", _emails(services, rows(session, holding, contact))):
                        yield piece
    yield b"}"


async def _listed(name: str, items: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    yield b", " + to_json(name) + b": ["
    first = True
    async for item in items:
        yield (b"" if first else b", ") + to_json(item)
        first = False
    yield b"]"


async def _emails(services: Services, messages: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    async for message in messages:
        raw = await asyncio.to_thread(services.outbox.raw, message["id"])
        if raw is not None:
            yield {"message_id": message["id"], "eml": raw.decode(errors="replace")}


async def _in_chunks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    chunk = bytearray()
    async for piece in pieces:
        chunk += piece
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)
