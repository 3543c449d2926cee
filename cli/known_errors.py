"""Errors that a person can mend: told in one clear line each, where others show a traceback."""

from __future__ import annotations

from cli.failures import CommandFailed
from runtime.settings import SettingsError


def told(error: Exception) -> str | None:
    """What to say of the error; None for one that nobody expected."""
    if isinstance(error, CommandFailed | SettingsError):
        return str(error)
    if isinstance(error, PermissionError | FileExistsError | NotADirectoryError):
        return f"{error.filename}: {error.strerror}: mend it, or set CAUCE_DATA_DIR to another folder"
    return _told_of_what_takes_long_to_import(error)


def _told_of_what_takes_long_to_import(error: Exception) -> str | None:
    from sqlalchemy.exc import DBAPIError

    from emails.templates import TemplateError
    from emails.topics import TopicsError
    from store.database import DatabaseNotReady

    if isinstance(error, DatabaseNotReady | TemplateError | TopicsError):
        return str(error)
    if isinstance(error, DBAPIError):
        said = str(error.orig).strip().partition("\n")[0]
        return f"the database does not answer ({said}): check CAUCE_DATABASE_URL, and that its server runs"
    return None
