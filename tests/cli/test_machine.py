"""What the programs of `cauce up` are told."""

from __future__ import annotations

from pathlib import Path

from cli.machine import Machine, Ports
from runtime.encryption_keys import EncryptionKey
from runtime.settings import Settings

PORTS = Ports(api=8001, temporal=7234, temporal_ui=8234)


def test_the_web_ui_asks_for_a_codec_only_where_there_is_one(tmp_path: Path) -> None:
    for keys, asks in (((), False), ((EncryptionKey("2026-11", bytes(32)),), True)):
        settings = Settings(data_dir=tmp_path, encryption_keys=keys)
        command = Machine(settings, PORTS, {}, tmp_path / "temporal").temporal().command
        assert ("--ui-codec-endpoint" in command) is asks
        assert ("http://127.0.0.1:8001/codec" in command) is asks
