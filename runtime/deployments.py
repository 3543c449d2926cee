"""Which versions of a flow a Temporal server knows, and which of them gets its contacts.

Each flow is a worker deployment of its own, whose versions are the builds of its code: to change one flow moves nobody
in another. Source: Temporal's API of Worker Versioning, server 1.32.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import RoutingConfigUpdateState, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from domain.flows import flow_task_queue
from runtime.temporal import RPC_TIMEOUT

POLLED_WITHIN = timedelta(seconds=75)
"""A poll that gets no work ends after a minute and the next one begins: who is silent for longer is gone."""
_SETTLES_WITHIN = timedelta(seconds=10)
_LOOK_EVERY = timedelta(milliseconds=500)


class NotPolled(Exception):
    """No worker of this version asks for work: whoever came to it would stand still."""


@dataclass(frozen=True)
class Deployment:
    """Build ids; `ramping` gets `percentage` of the contacts that would go to `current`."""

    current: str | None = None
    ramping: str | None = None
    percentage: float = 0
    previous: str | None = None
    """The one that was current before."""
    known: frozenset[str] = field(default_factory=frozenset)


class Deployments:
    """Every method raises RPCError if the server does not do what it is asked, at a pace that the server allows."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def of(self, flow: str) -> Deployment:
        """What the server knows of a flow's deployment; nothing, if no versioned worker of it was ever there."""
        request = DescribeWorkerDeploymentRequest(
            namespace=self._client.namespace, deployment_name=flow_task_queue(flow)
        )
        try:
            answer = await self._client.workflow_service.describe_worker_deployment(
                request, retry=True, timeout=RPC_TIMEOUT
            )
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return Deployment()
            raise
        info = answer.worker_deployment_info
        routing = info.routing_config
        current = routing.current_deployment_version.build_id or None
        was_current = {
            version.deployment_version.build_id: version.last_current_time.ToDatetime()
            for version in info.version_summaries
            if version.HasField("last_current_time") and version.deployment_version.build_id != current
        }
        return Deployment(
            current=current,
            ramping=routing.ramping_deployment_version.build_id or None,
            percentage=routing.ramping_version_percentage,
            previous=max(was_current, key=was_current.__getitem__, default=None),
            known=frozenset(version.deployment_version.build_id for version in info.version_summaries),
        )

    async def make_current(self, flow: str, build: str) -> None:
        """Send new contacts to a build, and whoever moves. Raises: NotPolled."""
        await self._require_poller(flow, build)
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=self._client.namespace,
            deployment_name=flow_task_queue(flow),
            build_id=build,
            identity=self._client.identity,
            allow_no_pollers=False,
        )
        try:
            await self._client.workflow_service.set_worker_deployment_current_version(
                request, retry=True, timeout=RPC_TIMEOUT
            )
        except RPCError as error:
            raise _told(error, flow, build) from error
        await self._settled(flow)

    async def ramp(self, flow: str, build: str | None, percentage: float) -> None:
        """Send a share of them to a build; to none, to end a ramp. Raises: NotPolled."""
        if build:
            await self._require_poller(flow, build)
        request = SetWorkerDeploymentRampingVersionRequest(
            namespace=self._client.namespace,
            deployment_name=flow_task_queue(flow),
            build_id=build or "",
            percentage=percentage if build else 0,
            identity=self._client.identity,
        )
        try:
            await self._client.workflow_service.set_worker_deployment_ramping_version(
                request, retry=True, timeout=RPC_TIMEOUT
            )
        except RPCError as error:
            raise _told(error, flow, build or "none") from error
        await self._settled(flow)

    async def polled(self, flow: str) -> dict[str, timedelta]:
        """Builds whose workers asked for this flow's work, and how long ago the latest poll began.

        The server remembers for five minutes, the dead too.
        """
        answer = await self._client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=self._client.namespace,
                task_queue=TaskQueue(name=flow_task_queue(flow)),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            ),
            retry=True,
            timeout=RPC_TIMEOUT,
        )
        now = datetime.now(UTC)
        polls: dict[str, timedelta] = {}
        for poller in answer.pollers:
            ago = now - poller.last_access_time.ToDatetime(tzinfo=UTC)
            build = poller.deployment_options.build_id
            polls[build] = min(ago, polls.get(build, ago))
        return polls

    async def alive(self, flow: str) -> frozenset[str]:
        """Builds whose workers ask for this flow's work. One that was killed counts for another minute."""
        return frozenset(build for build, ago in (await self.polled(flow)).items() if ago < POLLED_WITHIN)

    async def _require_poller(self, flow: str, build: str) -> None:
        """The server itself asks only whether one was ever there."""
        if build not in await self.alive(flow):
            raise NotPolled(f"no worker of {flow} with build {build} asks for work")

    async def _settled(self, flow: str) -> None:
        """Wait a little until every part of the server routes as it was told; contacts find their way later too."""
        request = DescribeWorkerDeploymentRequest(
            namespace=self._client.namespace, deployment_name=flow_task_queue(flow)
        )
        deadline = time.monotonic() + _SETTLES_WITHIN.total_seconds()
        while time.monotonic() < deadline:
            answer = await self._client.workflow_service.describe_worker_deployment(
                request, retry=True, timeout=RPC_TIMEOUT
            )
            state = answer.worker_deployment_info.routing_config_update_state
            if state != RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_IN_PROGRESS:
                return
            await asyncio.sleep(_LOOK_EVERY.total_seconds())


def _told(error: RPCError, flow: str, build: str) -> Exception:
    if error.status == RPCStatusCode.NOT_FOUND:
        return NotPolled(f"the server does not know of build {build} of {flow} yet")
    return error
