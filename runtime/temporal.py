"""The connection to Temporal."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from domain.flows import STATE_ATTRIBUTE
from runtime.encryption import data_converter
from runtime.encryption_keys import EncryptionKey
from runtime.settings import SettingsError

DEFAULT_ADDRESS = "127.0.0.1:7233"
RPC_TIMEOUT = timedelta(seconds=5)

CONTACT_ID = SearchAttributeKey.for_keyword("CauceContactId")
"""Finds every enrollment of a contact."""
STATE = SearchAttributeKey.for_keyword(STATE_ATTRIBUTE)
"""Finds enrollments by what they wait for: one of `domain.flows.State`."""
SEARCH_ATTRIBUTES = (CONTACT_ID, STATE)
"""The server has to know them, as Keyword: `temporal operator search-attribute create`."""


def worker_identity(pid: int) -> str:
    """Names one worker process to Temporal, and in its Web UI."""
    return f"cauce-worker-{pid}@{socket.gethostname()}"


def temporal_address() -> str:
    """Where the Temporal server is expected, as host:port. Raises: SettingsError."""
    return str(_configuration()["target_host"])


async def connect(
    keys: Sequence[EncryptionKey],
    *,
    lazy: bool = False,
    identity: str | None = None,
    runtime: Runtime | None = None,
) -> Client:
    """Connect as `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_PROFILE` or the profile file say.

    `keys` are the settings' own, by which payloads are encrypted and read.
    `lazy` connects at the first call, so that a process can start while the server is down; a worker cannot use such
    a client. Raises: SettingsError; RuntimeError while the server cannot be reached.
    """
    return await Client.connect(
        **_configuration(), data_converter=data_converter(keys), lazy=lazy, identity=identity, runtime=runtime
    )


def metrics_runtime(address: str) -> Runtime:
    """A runtime that serves the SDK's Prometheus metrics at host:port. Make one for a process, and keep it.

    Raises: SettingsError if the address cannot be had.
    """
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=address)))
    except ValueError as error:
        raise SettingsError(f"CAUCE_WORKER_METRICS: {address} cannot be served: {error}") from None


def _configuration() -> ClientConnectConfig:
    try:
        configuration = ClientConfig.load_client_connect_config()
    except RuntimeError as error:
        raise SettingsError(f"TEMPORAL_PROFILE or its file: {error}") from None
    configuration.setdefault("target_host", DEFAULT_ADDRESS)
    return configuration
