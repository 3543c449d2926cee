"""moved enrollments: steps that they skipped, and since when a new run takes the place of one"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("enrollments") as table:
        table.add_column(sa.Column("skipped_steps", sa.JSON(), nullable=False, server_default="[]"))
        table.add_column(sa.Column("replacing_since", sa.DateTime(timezone=True), nullable=True))
        table.create_index(
            "ix_enrollments_replacing",
            ["replacing_since"],
            unique=False,
            sqlite_where=sa.text("replacing_since IS NOT NULL"),
            postgresql_where=sa.text("replacing_since IS NOT NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("enrollments") as table:
        table.drop_index("ix_enrollments_replacing")
        table.drop_column("replacing_since")
        table.drop_column("skipped_steps")
