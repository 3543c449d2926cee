"""messages, events and delivery_events in months, on PostgreSQL; SQLite keeps its tables as they are"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BY = {"messages": "month", "events": "occurred_at", "delivery_events": "occurred_at"}
_BACK, _AHEAD = 36, 2
"""Months that get a partition of their own. What lies before them stays in the partition that takes all else."""


def upgrade() -> None:
    """Rows are copied, and nobody else comes to these tables meanwhile: about a minute for ten million rows."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    for table, by in _BY.items():
        op.execute(f"CREATE TABLE {table}_new (LIKE {table} INCLUDING DEFAULTS) PARTITION BY RANGE ({by})")
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table}_new DEFAULT")
        for month in _months(connection, table, by):
            op.execute(
                f"CREATE TABLE {table}_{month:%Y_%m} PARTITION OF {table}_new"
                f" FOR VALUES FROM ('{_bound(by, month)}') TO ('{_bound(by, _later(month, 1))}')"
            )
        op.execute(f"INSERT INTO {table}_new SELECT * FROM {table}")  # noqa: S608 (ours)
        _replace(connection, table, primary_key=f"id, {by}")


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    for table in _BY:
        op.execute(f"CREATE TABLE {table}_new (LIKE {table} INCLUDING DEFAULTS)")
        op.execute(f"INSERT INTO {table}_new SELECT DISTINCT ON (id) * FROM {table} ORDER BY id")  # noqa: S608 (ours)
        _replace(connection, table, primary_key="id")


def _replace(connection: sa.Connection, table: str, *, primary_key: str) -> None:
    """Drop the table for `{table}_new`, which gets its name, its keys and its indexes, but for another primary key."""
    keys = connection.execute(
        sa.text(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = to_regclass(:table) AND contype IN ('u', 'f') ORDER BY conname"
        ),
        {"table": table},
    ).all()
    indexes = connection.scalars(
        sa.text(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = to_regclass(:table) AND NOT EXISTS"
            " (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid) ORDER BY indexrelid"
        ),
        {"table": table},
    ).all()
    op.execute(f"DROP TABLE {table}")
    op.execute(f"ALTER TABLE {table}_new RENAME TO {table}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY ({primary_key})")
    for name, definition in keys:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for definition in indexes:
        op.execute(definition.replace(" ON ONLY ", " ON ", 1))


def _months(connection: sa.Connection, table: str, by: str) -> Iterator[date]:
    """Without a gap: from the first that has rows, or the last month, to those that come next."""
    present = datetime.now(UTC).date().replace(day=1)
    since = _bound(by, _later(present, -_BACK))
    oldest = connection.scalar(sa.text(f"SELECT min({by}) FROM {table} WHERE {by} >= '{since}'"))  # noqa: S608 (ours)
    if isinstance(oldest, datetime):
        oldest = oldest.astimezone(UTC).date()
    month = min(oldest.replace(day=1) if oldest else present, _later(present, -1))
    while month <= _later(present, _AHEAD):
        yield month
        month = _later(month, 1)


def _later(month: date, by: int) -> date:
    years, months = divmod(month.month - 1 + by, 12)
    return date(month.year + years, months + 1, 1)


def _bound(by: str, month: date) -> str:
    return f"{month:%Y-%m-%d}" if by == "month" else f"{month:%Y-%m-%d}T00:00:00Z"
