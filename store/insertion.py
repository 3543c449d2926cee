"""Insert rows unless some with the same keys are there: the one statement whose dialects differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession


async def insert_unless_there(session: AsyncSession, row: SQLModel) -> bool:
    """Answer whether the row was inserted; False if it would break a unique key. Waits for a concurrent insert."""
    return bool(await insert_those_new(session, type(row), [row.model_dump()]))


async def insert_those_new(session: AsyncSession, table: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> set[Any]:
    """Insert, in their order, those of many rows that would break no unique key; answer their first primary keys.

    Each row is given whole, by column: defaults are the caller's. Waits for concurrent inserts.
    """
    if not rows:
        return set()
    dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    mapper = inspect(table)
    insert = dialect.insert(mapper.local_table).on_conflict_do_nothing().returning(mapper.primary_key[0])
    return set((await session.exec(insert, params=rows)).scalars())
