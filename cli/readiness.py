"""Whether what `cauce up` started does its work: asked of it, never guessed from time that has passed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import httpx
from temporalio.client import Client
from temporalio.service import RPCError

from cli.pollers import pollers
from domain.flows import EMAIL_TASK_QUEUE, RECORDS_TASK_QUEUE, flow_task_queue
from runtime.temporal import worker_identity

_PATIENCE = timedelta(seconds=2)


class Readiness:
    """Answers for one Temporal server, the workers on it and one API. Each question takes a pid."""

    def __init__(self, temporal_address: str, namespace: str, api_url: str, flows: Collection[str]) -> None:
        self._flows = flows
        self._temporal_address = temporal_address
        self._namespace = namespace
        self._api_url = api_url
        self._client: Client | None = None

    async def temporal(self, _pid: int) -> bool:
        """The server is in good health by its own account."""
        try:
            client = await self._connected()
            return await client.service_client.check_health(timeout=_PATIENCE)
        except (RPCError, RuntimeError):
            return False

    async def worker(self, pid: int) -> bool:
        """The server lists this very process on every task queue."""
        return await self._polls(pid, EMAIL_TASK_QUEUE, RECORDS_TASK_QUEUE, *map(flow_task_queue, self._flows))

    async def conductor(self, flow: str, pid: int) -> bool:
        """The server lists this very process on the task queue of a flow."""
        return await self._polls(pid, flow_task_queue(flow))

    async def _polls(self, pid: int, *task_queues: str) -> bool:
        try:
            client = await self._connected()
            return all([worker_identity(pid) in await pollers(client, task_queue) for task_queue in task_queues])
        except (RPCError, RuntimeError):
            return False

    async def api(self, _pid: int) -> bool:
        """The API answers that it is ready."""
        try:
            # Without a proxy, whatever the environment says: this address is on this machine.
            async with httpx.AsyncClient(trust_env=False, timeout=_PATIENCE.total_seconds()) as http:
                return (await http.get(f"{self._api_url}/readyz")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    async def _connected(self) -> Client:
        if self._client is None:
            self._client = await Client.connect(self._temporal_address, namespace=self._namespace)
        return self._client
