from __future__ import annotations

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from sendgrid.helpers.eventwebhook import EventWebhook

from integrations.sendgrid.webhook_key import SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookKey
from tests.integrations.sendgrid_webhook import WebhookSigner

SIGNER = WebhookSigner()
KEY = WebhookKey(SIGNER.key)
BODY = '[{"event": "open", "email": "ñandú@example.com"}]\r\n'.encode()
TIMESTAMP, SIGNATURE = (SIGNER.headers(BODY, "1700000000")[name] for name in (TIMESTAMP_HEADER, SIGNATURE_HEADER))


def test_what_sendgrid_signed_is_known_however_old_it_is_and_however_often_it_comes() -> None:
    assert KEY.signed(BODY, timestamp=TIMESTAMP, signature=SIGNATURE)
    assert KEY.signed(BODY, timestamp=TIMESTAMP, signature=SIGNATURE)


def test_sendgrids_own_library_agrees() -> None:
    theirs = EventWebhook(SIGNER.key)
    assert theirs.verify_signature(BODY.decode(), SIGNATURE, TIMESTAMP)


@pytest.mark.parametrize(
    ("body", "timestamp", "signature"),
    [
        pytest.param(BODY + b" ", TIMESTAMP, SIGNATURE, id="longer"),
        pytest.param(BODY.strip(), TIMESTAMP, SIGNATURE, id="shorter"),
        pytest.param(BODY.replace(b"open", b"Open"), TIMESTAMP, SIGNATURE, id="changed"),
        pytest.param(b"", TIMESTAMP, SIGNATURE, id="empty"),
        pytest.param(BODY, "1700000001", SIGNATURE, id="another time"),
        pytest.param(TIMESTAMP.encode() + BODY, "", SIGNATURE, id="time in the body"),
        pytest.param(BODY, "ñ€", SIGNATURE, id="no time"),
        pytest.param(BODY, TIMESTAMP, "", id="no signature"),
        pytest.param(BODY, TIMESTAMP, "not base64!", id="not base64"),
        pytest.param(BODY, TIMESTAMP, SIGNATURE[:-8], id="cut"),
        pytest.param(BODY, TIMESTAMP, b64encode(b"0" * 70).decode(), id="zeros"),
        pytest.param(BODY, TIMESTAMP, WebhookSigner().headers(BODY, TIMESTAMP)[SIGNATURE_HEADER], id="another key"),
    ],
)
def test_what_was_changed_or_signed_by_another_is_refused(body: bytes, timestamp: str, signature: str) -> None:
    assert not KEY.signed(body, timestamp=timestamp, signature=signature)


ENCODED = st.binary(max_size=90).map(lambda junk: b64encode(junk).decode())


@given(st.binary(max_size=50), st.text(max_size=20), st.text(max_size=120) | ENCODED)
def test_junk_is_refused_without_an_error(body: bytes, timestamp: str, signature: str) -> None:
    assert not KEY.signed(body, timestamp=timestamp, signature=signature)


def _of_another_kind() -> str:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


@pytest.mark.parametrize(
    "text",
    ["", "hush", SIGNER.key[:-4], f"-----BEGIN-----{SIGNER.key}", _of_another_kind(), "ñ"],
    ids=["empty", "no key", "cut off", "with its frame", "of another kind", "not base64"],
)
def test_a_key_that_is_none_says_where_to_get_one_and_is_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="copy the verification key from SendGrid") as refusal:
        WebhookKey(text)
    assert not text or text not in str(refusal.value)
