"""segments, triggers, imports, audiences, bulk enrollments, broadcasts, schedules; the ledger knows flow and month"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _messages()
    op.create_index("ix_events_named", "events", ["name", "contact_id", "occurred_at"])
    op.create_index("ix_suppressions_contact", "suppressions", ["contact_id"])
    op.add_column("enrollments", _id("bulk_id", nullable=True))
    in_bulk = sa.text("bulk_id IS NOT NULL")
    columns = ["bulk_id", "started_at"]
    op.create_index("ix_enrollments_bulk", "enrollments", columns, sqlite_where=in_bulk, postgresql_where=in_bulk)
    _reports()
    _broadcasts()
    _segments()
    _imports()
    _jobs()


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=36), nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _yes_or_no(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _json(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _messages() -> None:
    with op.batch_alter_table("messages") as table:
        table.add_column(sa.Column("flow", sa.String(), nullable=False, server_default=""))
        table.add_column(sa.Column("month", sa.Date(), nullable=False, server_default="1970-01-01"))
        table.add_column(_id("broadcast_id", nullable=True))
        table.add_column(_text("variant", nullable=True))
    at = "enrollments.created_at"
    postgresql = op.get_bind().dialect.name == "postgresql"
    month = f"date_trunc('month', {at} AT TIME ZONE 'UTC')::date" if postgresql else f"date({at}, 'start of month')"
    for column, value in (("flow", "enrollments.flow"), ("month", month)):
        its = f"SELECT {value} FROM enrollments WHERE enrollments.id = messages.enrollment_id"  # noqa: S608 (ours)
        op.execute(f"UPDATE messages SET {column} = ({its})")  # noqa: S608 (ours)
    naming = {"uq": "%(table_name)s_%(column_0_name)s_%(column_1_name)s_key"}
    with op.batch_alter_table("messages", naming_convention=naming) as table:
        table.alter_column("flow", existing_type=sa.String(), server_default=None)
        table.alter_column("month", existing_type=sa.Date(), server_default=None)
        table.alter_column("enrollment_id", existing_type=sa.String(length=36), nullable=True)
        table.drop_constraint("messages_enrollment_id_step_key", type_="unique")
        table.create_unique_constraint("messages_enrollment_id_step_month_key", ["enrollment_id", "step", "month"])
        columns = ["broadcast_id", "contact_id", "month"]
        table.create_unique_constraint("messages_broadcast_id_contact_id_month_key", columns)


_ACTS = ("opened", "clicked")
_WHAT_CAME = ("status", *_ACTS, *(f"machine_{act}" for act in _ACTS))


def _reports() -> None:
    op.add_column("enrollments", _text("build", nullable=True))
    op.add_column("messages", sa.Column("entered_on", sa.Date(), nullable=True))
    op.add_column("messages", _text("build", nullable=True))
    for name in _WHAT_CAME[1:]:
        op.add_column("messages", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    postgresql = op.get_bind().dialect.name == "postgresql"
    day = "(created_at AT TIME ZONE 'UTC')::date" if postgresql else "date(created_at)"
    entered = f"SELECT {day} FROM enrollments WHERE enrollments.id = messages.enrollment_id"  # noqa: S608 (ours)
    op.execute(f"UPDATE messages SET entered_on = ({entered}) WHERE person_id IS NULL")  # noqa: S608 (ours)
    for act in _ACTS:
        for column, by in ((act, "automated IS NULL"), (f"machine_{act}", "automated IS NOT NULL")):
            acted = f"SELECT message_id FROM delivery_events WHERE kind = '{act}' AND {by}"  # noqa: S608 (ours)
            acted += " AND message_id IS NOT NULL"
            counts = "status NOT IN ('skipped', 'rejected')"
            op.execute(f"UPDATE messages SET {column} = true WHERE id IN ({acted}) AND {counts}")  # noqa: S608 (ours)
    columns = ["flow", "exit", "last_step", "build", "created_at", "ended_at"]
    op.create_index("ix_enrollments_report", "enrollments", columns)
    why_not = "entered_on IS NOT NULL AND status IN ('deferred', 'dropped', 'rejected', 'skipped', 'unconfirmed')"
    for name, columns, where in (
        ("report", ["flow", "step", "message", *_WHAT_CAME, "build", "month", "entered_on"], "entered_on IS NOT NULL"),
        ("why_not", ["flow", "step", "status", "reason", "build", "month", "entered_on"], why_not),
        ("broadcast", ["broadcast_id", "variant", *_WHAT_CAME], "broadcast_id IS NOT NULL"),
    ):
        only = sa.text(where)
        op.create_index(f"ix_messages_{name}", "messages", columns, sqlite_where=only, postgresql_where=only)
    for table in ("approvals", "tasks", "assignments"):
        op.create_index(f"ix_{table}_flow", table, ["flow"])


def _broadcasts() -> None:
    is_open = sa.text("broadcast_id IS NOT NULL AND status IN ('deferred', 'ready', 'sending')")
    name, columns = "ix_messages_broadcast_open", ["broadcast_id", "deferred_until"]
    op.create_index(name, "messages", columns, sqlite_where=is_open, postgresql_where=is_open)


def _segments() -> None:
    op.create_table(
        "segments",
        _id("id"),
        _text("name"),
        _text("description"),
        _json("predicate"),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "segment_members",
        _id("segment_id"),
        _id("contact_id"),
        _moment("since"),
        sa.PrimaryKeyConstraint("segment_id", "contact_id"),
        sa.ForeignKeyConstraint(["segment_id"], ["segments.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"]),
    )
    op.create_index("ix_segment_members_contact", "segment_members", ["contact_id"])
    op.create_table(
        "watched_segments",
        _id("segment_id"),
        _json("predicate"),
        _moment("watching_since", nullable=True),
        _moment("looked_at", nullable=True),
        sa.PrimaryKeyConstraint("segment_id"),
        sa.ForeignKeyConstraint(["segment_id"], ["segments.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "triggers",
        _id("id"),
        _text("flow"),
        _text("event", nullable=True),
        _id("segment_id", nullable=True),
        _json("definition"),
        _yes_or_no("active"),
        _moment("created_at"),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["segment_id"], ["segments.id"]),
    )
    op.create_index("ix_triggers_flow", "triggers", ["flow", "id"])


def _imports() -> None:
    op.create_table(
        "imports",
        _id("id"),
        _text("idempotency_key", nullable=True),
        _text("name"),
        _yes_or_no("dry_run"),
        _json("options"),
        _text("delimiter"),
        _json("columns"),
        _text("status"),
        _id("claim", nullable=True),
        _moment("claimed_until", nullable=True),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        _text("digest"),
        _number("lines"),
        _number("created"),
        _number("updated"),
        _number("unchanged"),
        _number("bad"),
        _moment("created_at"),
        _moment("updated_at"),
        _moment("finished_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("idempotency_key"),
    )
    op.create_table(
        "import_faults",
        _id("import_id"),
        _number("line"),
        _number("number"),
        _text("column", nullable=True),
        _text("message"),
        sa.PrimaryKeyConstraint("import_id", "line", "number"),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"]),
    )
    op.create_table(
        "imported_contacts",
        _id("import_id"),
        _id("contact_id"),
        sa.PrimaryKeyConstraint("import_id", "contact_id"),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"]),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"]),
    )
    op.create_index("ix_imported_contacts_contact", "imported_contacts", ["contact_id"])


def _jobs() -> None:
    op.create_table(
        "audience_members",
        _id("audience_id"),
        _number("position"),
        _id("contact_id"),
        _text("refused", nullable=True),
        sa.PrimaryKeyConstraint("audience_id", "position"),
        sa.UniqueConstraint("audience_id", "contact_id"),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"]),
    )
    op.create_index("ix_audience_members_contact", "audience_members", ["contact_id"])
    refused, columns = sa.text("refused IS NOT NULL"), ["audience_id", "position"]
    name = "ix_audience_members_refused"
    op.create_index(name, "audience_members", columns, sqlite_where=refused, postgresql_where=refused)
    op.create_table(
        "bulk_enrollments",
        _text("flow"),
        _json("source"),
        _json("settings"),
        _json("pilot", nullable=True),
        sa.Column("per_second", sa.Float(), nullable=False),
        _text("status"),
        _text("reason", nullable=True),
        _number("size", nullable=True),
        _number("position"),
        _number("enrolled"),
        _json("refusals"),
        _number("stage"),
        _json("gates"),
        _moment("to_tell_since", nullable=True),
        *_asked_for(),
        sa.UniqueConstraint("flow", "idempotency_key"),
    )
    op.create_table(
        "broadcasts",
        _text("name"),
        _text("message"),
        _json("source"),
        _json("definition"),
        _text("status"),
        _text("reason", nullable=True),
        _number("size", nullable=True),
        _text("winner", nullable=True),
        _moment("to_tell_since", nullable=True),
        *_asked_for(),
        sa.UniqueConstraint("idempotency_key"),
    )
    not_begun = sa.text("begun_at IS NULL")
    for table in ("bulk_enrollments", "broadcasts"):
        name = f"ix_{table}_not_begun"
        op.create_index(name, table, ["created_at"], sqlite_where=not_begun, postgresql_where=not_begun)
    to_tell = sa.text("to_tell_since IS NOT NULL")
    for table in ("bulk_enrollments", "broadcasts"):
        name = f"ix_{table}_to_tell"
        op.create_index(name, table, ["to_tell_since"], sqlite_where=to_tell, postgresql_where=to_tell)
    op.create_table(
        "schedules",
        _id("id"),
        _text("name"),
        _text("kind"),
        _json("job"),
        _json("recurrence"),
        _yes_or_no("paused"),
        _text("note", nullable=True),
        _yes_or_no("pause_to_tell"),
        _moment("created_at"),
        _moment("updated_at"),
        _moment("told_at", nullable=True),
        _moment("deleted_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )


def _asked_for() -> tuple[sa.schema.SchemaItem, ...]:
    return (
        _id("id"),
        _text("idempotency_key", nullable=True),
        _text("request_hash", nullable=True),
        _id("requested_by", nullable=True),
        _id("schedule_id", nullable=True),
        _moment("created_at"),
        _moment("begun_at", nullable=True),
        _moment("ended_at", nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    """Broadcasts and what they sent are known to newer code alone."""
    for name in (
        "schedules",
        "broadcasts",
        "bulk_enrollments",
        "audience_members",
        "imported_contacts",
        "import_faults",
        "imports",
        "triggers",
        "watched_segments",
        "segment_members",
        "segments",
    ):
        op.drop_table(name)
    op.drop_index("ix_suppressions_contact", "suppressions")
    op.drop_index("ix_events_named", "events")
    for table in ("approvals", "tasks", "assignments"):
        op.drop_index(f"ix_{table}_flow", table)
    for name in ("report", "why_not", "broadcast", "broadcast_open"):
        op.drop_index(f"ix_messages_{name}", "messages")
    op.drop_index("ix_enrollments_report", "enrollments")
    op.drop_column("enrollments", "build")
    for name in (*_WHAT_CAME[1:], "build", "entered_on"):
        op.drop_column("messages", name)
    op.drop_index("ix_enrollments_bulk", "enrollments")
    op.drop_column("enrollments", "bulk_id")
    op.execute("DELETE FROM messages WHERE enrollment_id IS NULL")
    with op.batch_alter_table("messages") as messages:
        messages.drop_constraint("messages_broadcast_id_contact_id_month_key", type_="unique")
        messages.drop_constraint("messages_enrollment_id_step_month_key", type_="unique")
        messages.create_unique_constraint("messages_enrollment_id_step_key", ["enrollment_id", "step"])
        messages.alter_column("enrollment_id", existing_type=sa.String(length=36), nullable=False)
        for name in ("variant", "broadcast_id", "month", "flow"):
            messages.drop_column(name)
