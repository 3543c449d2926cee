"""Ports of this machine."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping

from cli.failures import CommandFailed

LOOPBACK = "127.0.0.1"


def require_free(ports: Mapping[str, int]) -> None:
    """`ports`: each by the option that chooses it. Raises: CommandFailed for one in use, or given twice."""
    options: dict[int, str] = {}
    for option, port in ports.items():
        if port in options:
            raise CommandFailed(f"{options[port]} and {option} are both {port}: give each a port of its own")
        options[port] = option
        if not _is_free(port):
            raise CommandFailed(f"port {port} is in use: stop what listens there, or choose another by {option}")


def unused_port(but: Collection[int] = ()) -> int:
    """A port that nobody listens on at the moment, and none of `but`, which somebody is about to."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if port not in but:
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection that was closed a moment ago does not hold its port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
