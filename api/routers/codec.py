"""Temporal's remote codec: by it the Web UI and the `temporal` command show what is encrypted, and send what is to be.

A body is Temporal's `Payloads` as JSON, `{"payloads": [{"metadata": {…}, "data": "…"}]}` with bytes in base64; so is
the answer, with as many payloads, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from pydantic_core import from_json
from temporalio.api.common.v1 import Payload, Payloads

from api.content import require_json
from api.problems import ProblemError
from api.security import require_key_or_password
from api.web_ui import CODEC, PREFLIGHT_HEADERS, require_web_ui
from api.wiring import Wired
from runtime.encryption import CannotDecrypt, EncryptionCodec


async def _codec(services: Wired) -> EncryptionCodec:
    if not services.settings.encryption_keys:
        raise ProblemError(
            404,
            "encryption-off",
            "Nothing is encrypted here",
            "there is no codec while CAUCE_ENCRYPTION_KEYS has no key: the Web UI shows payloads without one",
        )
    return EncryptionCodec(services.settings.encryption_keys)


async def _sent(request: Request) -> Sequence[Payload]:
    try:
        # Not Python's own reader: half of a surrogate pair, which it lets pass, is too much for protobuf's.
        payloads = from_json(await request.body())["payloads"]
        return ParseDict({"payloads": payloads}, Payloads(), ignore_unknown_fields=True).payloads
    except (ParseError, ValueError, TypeError, KeyError):
        raise ProblemError(
            400,
            "no-payloads",
            "The body holds no payloads",
            'a body has to be JSON as Temporal writes it: {"payloads": [{"metadata": {"encoding": "…"}, "data": "…"}]}',
        ) from None


# In this order: where there is no codec, nobody is asked for a key.
router = APIRouter(prefix=CODEC, dependencies=[Depends(_codec), Depends(require_web_ui)])
_may_ask = [Depends(require_key_or_password), Depends(require_json)]

Codec = Annotated[EncryptionCodec, Depends(_codec)]
Sent = Annotated[Sequence[Payload], Depends(_sent)]


@router.options("/encode")
@router.options("/decode")
async def preflight() -> Response:
    """A browser asks without credentials whether the Web UI may ask with them."""
    return Response(status_code=204, headers=PREFLIGHT_HEADERS)


@router.post("/encode", dependencies=_may_ask)
async def encode(payloads: Sent, codec: Codec) -> dict[str, Any]:
    return _as_json(await codec.encode(payloads))


@router.post("/decode", dependencies=_may_ask)
async def decode(payloads: Sent, codec: Codec) -> dict[str, Any]:
    try:
        return _as_json(await codec.decode(payloads))
    except CannotDecrypt as error:
        raise ProblemError(400, "cannot-decrypt", "A payload cannot be decrypted", str(error)) from None


def _as_json(payloads: Sequence[Payload]) -> dict[str, Any]:
    return {"payloads": [MessageToDict(payload) for payload in payloads]}
