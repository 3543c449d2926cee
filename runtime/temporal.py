"""The connection to Temporal."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

DEFAULT_ADDRESS = "127.0.0.1:7233"
RPC_TIMEOUT = timedelta(seconds=5)

CONTACT_ID = SearchAttributeKey.for_keyword("CauceContactId")
"""Finds every enrollment of a contact. The server has to know it: `temporal operator search-attribute create`."""


def temporal_address() -> str:
    """Where the Temporal server is expected, as host:port."""
    return ClientConfig.load_client_connect_config().get("target_host") or DEFAULT_ADDRESS


async def connect(*, lazy: bool = False, identity: str | None = None, metrics: str | None = None) -> Client:
    """Connect as `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_PROFILE` or the profile file say.

    `lazy` connects at the first call, so that a process can start while the server is down; a worker cannot use such
    a client. `metrics` (host:port) serves the SDK's Prometheus metrics.
    """
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", DEFAULT_ADDRESS)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=metrics))) if metrics else None
    return await Client.connect(
        **config, data_converter=pydantic_data_converter, lazy=lazy, identity=identity, runtime=runtime
    )
