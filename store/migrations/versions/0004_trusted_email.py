"""consent with its wording, keyed suppressions, delivery events, decisions on messages, providers, erasures"""

from __future__ import annotations

import hashlib
import hmac

import sqlalchemy as sa
from alembic import context, op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OF_CONTACT = "suppressions_contact_id_fkey"
_RENAMED = {"bounced": "hard_bounce", "complained": "complaint"}


def upgrade() -> None:
    _consents()
    _suppressions()
    with op.batch_alter_table("contacts") as table:
        table.alter_column("time_zone", existing_type=sa.String(), nullable=True)
    # It was the default, so nobody can say of whom it was known.
    op.execute("UPDATE contacts SET time_zone = NULL WHERE time_zone = 'UTC'")
    with op.batch_alter_table("messages") as table:
        table.add_column(sa.Column("message", sa.String(), nullable=True))
        table.add_column(sa.Column("message_class", sa.String(length=16), nullable=True))
        table.add_column(sa.Column("topic", sa.String(), nullable=True))
        table.add_column(sa.Column("deferred_until", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("handed_over_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("resend_asked_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("decision", sa.JSON(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("attempts", sa.JSON(), nullable=False, server_default="[]"))
        table.create_index("ix_messages_handed_over", ["contact_id", "handed_over_at"], unique=False)
        table.create_index(
            "ix_messages_resend_asked",
            ["resend_asked_at"],
            unique=False,
            sqlite_where=sa.text("resend_asked_at IS NOT NULL"),
            postgresql_where=sa.text("resend_asked_at IS NOT NULL"),
        )
    op.execute("UPDATE messages SET handed_over_at = coalesce(sent_at, updated_at) WHERE handovers > 0")

    op.create_table(
        "delivery_events",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("automated", sa.String(length=16), nullable=True),
        sa.Column("raw", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_delivery_events_message", "delivery_events", ["message_id", "occurred_at"])
    op.create_table(
        "providers",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("circuit", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("contact_id", sa.String(length=36), nullable=True),
        sa.Column("email_hash", sa.String(), nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("contact_id"),
    )


def _consents() -> None:
    with op.batch_alter_table("consents") as table:
        table.add_column(sa.Column("state", sa.String(length=16), nullable=False, server_default="granted"))
        table.add_column(sa.Column("recorded_by", sa.String(), nullable=False, server_default="api"))
        table.add_column(sa.Column("wording", sa.String(), nullable=True))
        table.add_column(sa.Column("purpose", sa.String(), nullable=True))
    op.execute("UPDATE consents SET state = 'withdrawn' WHERE NOT granted")
    with op.batch_alter_table("consents") as table:
        table.drop_column("granted")
        table.alter_column("state", existing_type=sa.String(length=16), server_default=None)
        table.alter_column("recorded_by", existing_type=sa.String(), server_default=None)


def _suppressions() -> None:
    with op.batch_alter_table("suppressions") as table:
        table.add_column(sa.Column("source", sa.String(), nullable=False, server_default="event"))
        table.add_column(sa.Column("note", sa.String(), nullable=True))
        table.add_column(sa.Column("contact_id", sa.String(length=36), nullable=True))
        table.create_foreign_key(_OF_CONTACT, "contacts", ["contact_id"], ["id"], ondelete="SET NULL")
        table.alter_column("reason", existing_type=sa.String(), type_=sa.String(length=16))
        table.create_index("ix_suppressions_newest", ["created_at", "email_hash"], unique=False)
    with op.batch_alter_table("suppressions") as table:
        table.alter_column("source", existing_type=sa.String(), server_default=None)
    for before, after in _RENAMED.items():
        op.execute(f"UPDATE suppressions SET reason = '{after}' WHERE reason = '{before}'")  # noqa: S608 (ours)
    connection = op.get_bind()
    suppressions = sa.table("suppressions", sa.column("email_hash"), sa.column("contact_id"))
    key = context.config.attributes["address_key"].encode()
    hashes = connection.scalars(sa.select(suppressions.c.email_hash).distinct()).all()
    contacts = _contacts_by_hash(connection) if hashes else {}
    for unkeyed in hashes:
        keyed = hmac.new(key, unkeyed.encode(), hashlib.sha256).hexdigest()
        theirs = sa.update(suppressions).where(suppressions.c.email_hash == unkeyed)
        connection.execute(theirs.values(email_hash=keyed, contact_id=contacts.get(unkeyed)))


def _contacts_by_hash(connection: sa.Connection) -> dict[str, str]:
    contacts = sa.table("contacts", sa.column("id"), sa.column("email"))
    rows = connection.execute(sa.select(contacts.c.id, contacts.c.email))
    return {hashlib.sha256(email.lower().encode()).hexdigest(): contact_id for contact_id, email in rows}


def downgrade() -> None:
    """Addresses stay hashed with the key: what was suppressed is known to newer code alone."""
    for name in ("erasures", "providers", "delivery_events"):
        op.drop_table(name)
    with op.batch_alter_table("messages") as table:
        table.drop_index("ix_messages_resend_asked")
        table.drop_index("ix_messages_handed_over")
        for name in (
            "attempts",
            "decision",
            "resend_asked_at",
            "handed_over_at",
            "deferred_until",
            "topic",
            "message_class",
            "message",
        ):
            table.drop_column(name)
    op.execute("UPDATE contacts SET time_zone = 'UTC' WHERE time_zone IS NULL")
    with op.batch_alter_table("contacts") as table:
        table.alter_column("time_zone", existing_type=sa.String(), nullable=False)
    for before, after in _RENAMED.items():
        op.execute(f"UPDATE suppressions SET reason = '{before}' WHERE reason = '{after}'")  # noqa: S608 (ours)
    with op.batch_alter_table("suppressions") as table:
        table.drop_index("ix_suppressions_newest")
        table.alter_column("reason", existing_type=sa.String(length=16), type_=sa.String())
        table.drop_constraint(_OF_CONTACT, type_="foreignkey")
        for name in ("contact_id", "note", "source"):
            table.drop_column(name)
    with op.batch_alter_table("consents") as table:
        table.add_column(sa.Column("granted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE consents SET granted = (state = 'granted')")
    with op.batch_alter_table("consents") as table:
        table.alter_column("granted", existing_type=sa.Boolean(), server_default=None)
        for name in ("purpose", "wording", "recorded_by", "state"):
            table.drop_column(name)
