"""The database that the settings name."""

from __future__ import annotations

from runtime.settings import Settings
from store.database import Database


def open_database(settings: Settings) -> Database:
    """Raises: DatabaseNotReady if its URL is none; SettingsError if there is no secret key to be had."""
    return Database(settings.resolved_database_url(), settings.secret_keys())
