"""Encryption of what Temporal keeps: the payloads of runs, and the texts of failures.

Inputs, results, memos, signals, updates, queries, summaries, details and heartbeats are payloads. What Temporal itself
works with stays readable: ids, types and names, task queues, times, search attributes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec

from runtime.encryption_keys import EncryptionKey, is_key_id

ENCODING = b"binary/encrypted"
_KEY_ID = "encryption-key-id"
_NONCE_BYTES = 12
_SETTING = "CAUCE_ENCRYPTION_KEYS"


class CannotDecrypt(ValueError):
    """A payload that nobody can read with these keys: the text names the key and the setting, and nothing secret."""


class EncryptionCodec(PayloadCodec):
    """AES-256-GCM with the first of `keys`; each of them decrypts.

    Whatever is not encrypted is decoded as it is: runs from before the first key go on. Without any key nothing is
    encrypted, and what was before cannot be read.
    """

    def __init__(self, keys: Sequence[EncryptionKey]) -> None:
        self._ciphers = {key.id.encode(): AESGCM(key.secret) for key in keys}
        self._first = next(iter(self._ciphers), None)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if self._first is None:
            return list(payloads)
        return [self._encrypted(payload, self._first) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises: CannotDecrypt."""
        return [
            self._decrypted(payload) if payload.metadata.get("encoding") == ENCODING else payload
            for payload in payloads
        ]

    def _encrypted(self, payload: Payload, key_id: bytes) -> Payload:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[key_id].encrypt(nonce, payload.SerializeToString(), _authenticated(key_id))
        return Payload(metadata={"encoding": ENCODING, _KEY_ID: key_id}, data=nonce + sealed)

    def _decrypted(self, payload: Payload) -> Payload:
        key_id = payload.metadata.get(_KEY_ID, b"")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise CannotDecrypt(f"a payload is encrypted with {_named(key_id)}, which {_SETTING} does not have: add it")
        nonce, sealed = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, sealed, _authenticated(key_id)))
        except (InvalidTag, DecodeError, ValueError):  # ValueError: too short to hold a nonce
            raise CannotDecrypt(
                f"a payload is damaged, or was encrypted with other bytes than {_SETTING} has for {_named(key_id)}"
            ) from None


def data_converter(keys: Sequence[EncryptionKey]) -> DataConverter:
    """How values become what Temporal keeps, and back: pydantic's JSON, encrypted if there are keys."""
    return replace(
        pydantic_data_converter,
        payload_codec=EncryptionCodec(keys),
        failure_converter_class=(
            DefaultFailureConverterWithEncodedAttributes if keys else pydantic_data_converter.failure_converter_class
        ),
    )


def _authenticated(key_id: bytes) -> bytes:
    """The payload's metadata in plain, so that no bit of it can be changed. What was encrypted has its own inside."""
    return ENCODING + b"\0" + key_id


def _named(key_id: bytes) -> str:
    # It is whatever stands in the history, or was sent to the codec endpoint: only what looks like an id is told.
    name = key_id.decode("ascii", "replace")
    return f"key {name}" if is_key_id(name) else "a key of another program"
