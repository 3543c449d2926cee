"""Rows whose column has one of hundreds of values."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, String, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel.ext.asyncio.session import AsyncSession


def one_of(session: AsyncSession, column: Any, values: Collection[str]) -> ColumnElement[bool]:
    """`column IN values`. PostgreSQL gets them as one parameter: of hundreds, its driver parses each, at length."""
    if session.get_bind().dialect.name == "postgresql":
        among: ColumnElement[bool] = column == any_(literal(list(values), ARRAY(String)))
        return among
    return column.in_(values)  # type: ignore[no-any-return]
