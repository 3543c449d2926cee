"""Bringing the database that the settings name to the newest migration. Apart, since Alembic is slow to import."""

from __future__ import annotations

from runtime.settings import Settings
from store.migrating import migrate


def migrate_database(settings: Settings) -> str:
    """Answer the migration that it is at then. Blocking. Raises: as `runtime.databases.open_database`."""
    return migrate(settings.resolved_database_url(), settings.resolved_secret_key())
