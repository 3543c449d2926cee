"""Run by Alembic: migrates the connection that `store.migrating.migrate` hands it."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

import store.ledger_tables
import store.list_tables
import store.people_tables  # noqa: F401 (these fill the metadata, with store.tables)
from store.partitions import is_no_partition

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    include_name=is_no_partition,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
