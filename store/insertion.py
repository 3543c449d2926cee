"""Insert a row unless one with the same key is there: the one statement whose dialects differ."""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession


async def insert_unless_there(session: AsyncSession, row: SQLModel) -> bool:
    """Answer whether the row was inserted; False if it would break a unique key. Waits for a concurrent insert."""
    values = row.model_dump()
    table = type(row)
    dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    key = inspect(table).primary_key[0]
    inserted = await session.exec(dialect.insert(table).values(values).on_conflict_do_nothing().returning(key))
    return inserted.first() is not None
