"""Turns: what only one transaction at a time may decide."""

from __future__ import annotations

from sqlalchemy import func
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession


async def lock(session: AsyncSession, name: str) -> None:
    """Wait for others who have this name's turn, and keep it until the transaction ends. SQLite writes one by one."""
    if session.get_bind().dialect.name == "postgresql":
        await session.exec(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
