"""Leaving nothing of a test behind in a server that others share."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode


async def delete_schedules(client: Client) -> None:
    async for schedule in await client.list_schedules():
        try:
            await client.get_schedule_handle(schedule.id).delete()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # the list is behind: this one has been deleted
                raise
