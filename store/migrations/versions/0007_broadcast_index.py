"""the index of a broadcast's messages leads to a contact's, so that whichever index is taken none reads all of them"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COUNTED = ("variant", "status", "opened", "clicked", "machine_opened", "machine_clicked")


def upgrade() -> None:
    """A second for a million messages of broadcasts; who writes to the ledger waits for it."""
    _replace(("broadcast_id", "contact_id", *_COUNTED))


def downgrade() -> None:
    _replace(("broadcast_id", *_COUNTED))


def _replace(columns: Sequence[str]) -> None:
    op.drop_index("ix_messages_broadcast", "messages")
    only = sa.text("broadcast_id IS NOT NULL")
    op.create_index("ix_messages_broadcast", "messages", columns, sqlite_where=only, postgresql_where=only)
