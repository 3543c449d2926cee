"""people, approvals, tasks, leads and their answers; holds; changes of contacts by steps; mail to people"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("holds", schema=None) as batch_op:
        batch_op.create_index(
            "ux_holds_open",
            ["scope", "target"],
            unique=True,
            sqlite_where=sa.text("resumed_at IS NULL"),
            postgresql_where=sa.text("resumed_at IS NULL"),
        )
        batch_op.create_index("ix_holds_target", ["scope", "target"], unique=False)

    op.create_table(
        "lead_rules",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("teams", sa.JSON(), nullable=False),
        sa.Column("locale", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("working_hours", sa.JSON(), nullable=False),
        sa.Column("holidays", sa.String(), nullable=True),
        sa.Column("absences", sa.JSON(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("territories", sa.JSON(), nullable=False),
        sa.Column("products", sa.JSON(), nullable=False),
        sa.Column("languages", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
    )
    op.create_table(
        "rule_shares",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("given", sa.Integer(), nullable=False),
        sa.Column("latest", sa.Integer(), nullable=False),
        sa.Column("owed", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "person_id"),
    )
    op.create_table(
        "answers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("question_id", sa.String(length=36), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("choice", sa.String(), nullable=False),
        sa.Column("comment", sa.String(), nullable=True),
        sa.Column("delegate_id", sa.String(length=36), nullable=True),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("request_hash", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("refusal", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("question_id", "idempotency_key"),
    )
    with op.batch_alter_table("answers", schema=None) as batch_op:
        batch_op.create_index("ix_answers_question", ["question_id", "id"], unique=False)

    op.create_table(
        "approvals",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("enrollment_id", sa.String(length=36), nullable=False),
        sa.Column("contact_id", sa.String(length=36), nullable=False),
        sa.Column("flow", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("stages", sa.JSON(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contacts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["enrollment_id"],
            ["enrollments.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("enrollment_id", "step", "content_hash"),
    )
    with op.batch_alter_table("approvals", schema=None) as batch_op:
        batch_op.create_index("ix_approvals_contact", ["contact_id", "id"], unique=False)
        batch_op.create_index("ix_approvals_status", ["status", "id"], unique=False)

    op.create_table(
        "assignments",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("enrollment_id", sa.String(length=36), nullable=False),
        sa.Column("contact_id", sa.String(length=36), nullable=False),
        sa.Column("flow", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=True),
        sa.Column("rule", sa.String(), nullable=True),
        sa.Column("rules_version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("respond_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contacts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["enrollment_id"],
            ["enrollments.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("enrollment_id", "step", "number"),
    )
    with op.batch_alter_table("assignments", schema=None) as batch_op:
        batch_op.create_index("ix_assignments_contact", ["contact_id", "id"], unique=False)
        batch_op.create_index(
            "ix_assignments_load",
            ["person_id"],
            unique=False,
            sqlite_where=sa.text("released_at IS NULL AND person_id IS NOT NULL"),
            postgresql_where=sa.text("released_at IS NULL AND person_id IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_assignments_not_told",
            ["id"],
            unique=False,
            sqlite_where=sa.text("told_at IS NULL AND person_id IS NOT NULL"),
            postgresql_where=sa.text("told_at IS NULL AND person_id IS NOT NULL"),
        )
        batch_op.create_index("ix_assignments_person", ["person_id", "status"], unique=False)
        batch_op.create_index("ix_assignments_status", ["status", "id"], unique=False)

    op.create_table(
        "crm_changes",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("enrollment_id", sa.String(length=36), nullable=False),
        sa.Column("contact_id", sa.String(length=36), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("change", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("refusal", sa.String(), nullable=True),
        sa.Column("mirror", sa.String(), nullable=True),
        sa.Column("mirror_refusal", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contacts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["enrollment_id"],
            ["enrollments.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("enrollment_id", "step"),
    )
    with op.batch_alter_table("crm_changes", schema=None) as batch_op:
        batch_op.create_index("ix_crm_changes_contact", ["contact_id", "id"], unique=False)
        batch_op.create_index(
            "ix_crm_changes_owed",
            ["id"],
            unique=False,
            sqlite_where=sa.text("mirror = 'owed'"),
            postgresql_where=sa.text("mirror = 'owed'"),
        )

    op.create_table(
        "tasks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("enrollment_id", sa.String(length=36), nullable=False),
        sa.Column("contact_id", sa.String(length=36), nullable=False),
        sa.Column("flow", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=True),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("waited", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("done_by", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contacts.id"],
        ),
        sa.ForeignKeyConstraint(
            ["enrollment_id"],
            ["enrollments.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("enrollment_id", "step"),
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index("ix_tasks_contact", ["contact_id", "id"], unique=False)
        batch_op.create_index("ix_tasks_status", ["status", "id"], unique=False)

    op.create_table(
        "approval_requests",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("approval_id", sa.String(length=36), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("delegated_to", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["approval_id"],
            ["approvals.id"],
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("approval_id", "stage", "person_id"),
    )
    with op.batch_alter_table("approval_requests", schema=None) as batch_op:
        batch_op.create_index("ix_approval_requests_person", ["person_id", "id"], unique=False)

    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lifecycle_stage", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("score", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("owner_id", sa.String(length=36), nullable=True))

    with op.batch_alter_table("enrollments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("origin", sa.String(), server_default="api", nullable=False))
        batch_op.add_column(sa.Column("requested_by", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("came_from", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("held_since", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("hold_asked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index(
            "ix_enrollments_held",
            ["held_since"],
            unique=False,
            sqlite_where=sa.text("held_since IS NOT NULL"),
            postgresql_where=sa.text("held_since IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_enrollments_hold_asked",
            ["hold_asked_at"],
            unique=False,
            sqlite_where=sa.text("hold_asked_at IS NOT NULL"),
            postgresql_where=sa.text("hold_asked_at IS NOT NULL"),
        )

    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("ix_events_happened", ["contact_id", "occurred_at", "id"], unique=False)

    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.add_column(sa.Column("person_id", sa.String(length=36), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.drop_column("person_id")

    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_happened")

    with op.batch_alter_table("enrollments", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_enrollments_hold_asked",
            sqlite_where=sa.text("hold_asked_at IS NOT NULL"),
            postgresql_where=sa.text("hold_asked_at IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_enrollments_held",
            sqlite_where=sa.text("held_since IS NOT NULL"),
            postgresql_where=sa.text("held_since IS NOT NULL"),
        )
        batch_op.drop_column("hold_asked_at")
        batch_op.drop_column("held_since")
        batch_op.drop_column("came_from")
        batch_op.drop_column("requested_by")
        batch_op.drop_column("origin")

    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.drop_column("owner_id")
        batch_op.drop_column("score")
        batch_op.drop_column("lifecycle_stage")

    with op.batch_alter_table("approval_requests", schema=None) as batch_op:
        batch_op.drop_index("ix_approval_requests_person")

    op.drop_table("approval_requests")
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index("ix_tasks_status")
        batch_op.drop_index("ix_tasks_contact")

    op.drop_table("tasks")
    with op.batch_alter_table("crm_changes", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_crm_changes_owed",
            sqlite_where=sa.text("mirror = 'owed'"),
            postgresql_where=sa.text("mirror = 'owed'"),
        )
        batch_op.drop_index("ix_crm_changes_contact")

    op.drop_table("crm_changes")
    with op.batch_alter_table("assignments", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_assignments_not_told",
            sqlite_where=sa.text("told_at IS NULL AND person_id IS NOT NULL"),
            postgresql_where=sa.text("told_at IS NULL AND person_id IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_assignments_load",
            sqlite_where=sa.text("released_at IS NULL AND person_id IS NOT NULL"),
            postgresql_where=sa.text("released_at IS NULL AND person_id IS NOT NULL"),
        )
        batch_op.drop_index("ix_assignments_status")
        batch_op.drop_index("ix_assignments_person")
        batch_op.drop_index("ix_assignments_contact")

    op.drop_table("assignments")
    with op.batch_alter_table("approvals", schema=None) as batch_op:
        batch_op.drop_index("ix_approvals_status")
        batch_op.drop_index("ix_approvals_contact")

    op.drop_table("approvals")
    with op.batch_alter_table("answers", schema=None) as batch_op:
        batch_op.drop_index("ix_answers_question")

    op.drop_table("answers")
    op.drop_table("rule_shares")
    op.drop_table("people")
    op.drop_table("lead_rules")
    with op.batch_alter_table("holds", schema=None) as batch_op:
        batch_op.drop_index("ix_holds_target")
        batch_op.drop_index(
            "ux_holds_open", sqlite_where=sa.text("resumed_at IS NULL"), postgresql_where=sa.text("resumed_at IS NULL")
        )

    op.drop_table("holds")
