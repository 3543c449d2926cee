"""The process that serves the API."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.wiring import Services
from runtime.loopback import is_loopback
from runtime.settings import Settings, SettingsError
from runtime.temporal import connect

logger = logging.getLogger(__name__)

GRACE_SECONDS = 10


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that are under way. Blocking.

    Raises: SettingsError if the address is taken, or is not this machine's own while no key is configured;
    DatabaseNotReady; both before anything is served.
    """
    if not settings.api_keys:
        if not is_loopback(host):
            raise SettingsError(f"CAUCE_API_KEYS: needed to listen on {host}; without a key, listen on 127.0.0.1")
        logger.warning("no API key is configured (CAUCE_API_KEYS): the API answers this machine only")
    asyncio.run(_serve(settings, host, port))


async def _serve(settings: Settings, host: str, port: int) -> None:
    await serve_app(create_app(settings, await connect(settings.encryption_keys, lazy=True)), host, port)


async def serve_app(app: FastAPI, host: str, port: int) -> None:
    """Serve an app as `serve` does, on this event loop."""
    services: Services = app.state.services
    try:
        await services.database.require_current()
        with _listener(host, port) as listener:
            logger.info("serving", extra={"address": f"{host}:{port}"})
            await _Server(_configuration(app)).serve([listener])
    finally:
        await services.database.close()
        # A process that used the Temporal client and exits at once can abort in PyGILState_Release (sdk-python #300).
        await asyncio.sleep(0.1)


def _configuration(app: FastAPI) -> uvicorn.Config:
    # No access log of uvicorn's: it would write query strings, which may hold addresses.
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _listener(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port} ({error.strerror}): choose another port") from None
    # Connections inherit it. Without it the body of an answer waits until the caller has acknowledged its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A signal ends the serving, a second one at once; the process ends by itself, and with status 0."""
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, self.handle_exit, each, None)
        yield
