"""`cauce retention`: what the settings keep no longer, and what stays all the same and why."""

from __future__ import annotations

from cli.terminal import say
from runtime.databases import open_database
from runtime.settings import Settings
from store.partitions import PARTITIONED
from store.retention import AUDIENCES, count_old_rows, old_months
from worker.retaining import kept


async def say_what_goes(settings: Settings) -> None:
    """Print what workers with these settings drop and delete. Changes nothing. Raises: DatabaseNotReady."""
    database = open_database(settings)
    what = kept(settings)
    try:
        await database.require_current()
        async with database.read() as session:
            months = await old_months(session, what)
            rows = await count_old_rows(session, what)
    finally:
        await database.close()
    for name, since in (*((table.name, what.since(table)) for table in PARTITIONED), (AUDIENCES, what.messages_since)):
        say(f"{name}: kept {f'since {since:%Y-%m-%d}' if since else 'for ever'}")
        for old in months:
            if old.table.name == name:
                say(f"  {old.name} " + (f"stays: {old.kept_by}" if old.kept_by else "goes"))
        if rows.get(name):
            say(f"  {rows[name]:,} rows go one by one")
