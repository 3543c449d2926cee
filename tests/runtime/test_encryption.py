"""What Temporal keeps is encrypted with the first key and read with any; what cannot be read names the key it needs."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError

from domain.trail import MAX_SUMMARY
from runtime.encryption import ENCODING, CannotDecrypt, EncryptionCodec, data_converter
from runtime.encryption_keys import MAX_ID_LENGTH, EncryptionKey, read_keys
from runtime.settings import Settings, SettingsError, load_settings

OLD = EncryptionKey("2026-11", b"\x01" * 32)
NEW = EncryptionKey("2027-01", b"\x02" * 32)
SERVER_TAKES = 400
"""Bytes of a summary's payload: `limit.userMetadataSummarySize` of a Temporal server."""

PAYLOADS = st.builds(
    Payload,
    metadata=st.dictionaries(st.text(max_size=20), st.binary(max_size=20), max_size=3),
    data=st.binary(max_size=200),
)
KEYS = st.lists(
    st.builds(
        EncryptionKey,
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}", fullmatch=True),
        st.binary(min_size=32, max_size=32),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda key: key.id,
)


async def sealed(payload: Payload, *keys: EncryptionKey) -> Payload:
    (encrypted,) = await EncryptionCodec(keys).encode([payload])
    return encrypted


async def opened(payload: Payload, *keys: EncryptionKey) -> Payload:
    (decrypted,) = await EncryptionCodec(keys).decode([payload])
    return decrypted


@given(payloads=st.lists(PAYLOADS, max_size=4), keys=KEYS)
async def test_what_is_encrypted_is_read_back_whole_and_in_order(
    payloads: list[Payload], keys: list[EncryptionKey]
) -> None:
    codec = EncryptionCodec(keys)
    encrypted = await codec.encode(payloads)
    assert await codec.decode(encrypted) == payloads
    for payload in encrypted:
        assert dict(payload.metadata) == {"encoding": ENCODING, "encryption-key-id": keys[0].id.encode()}


async def test_nothing_of_a_payload_is_left_in_plain() -> None:
    payload = Payload(metadata={"encoding": b"json/plain", "messageType": b"cauce.Canary"}, data=b'"magenta"')
    told = (await sealed(payload, OLD)).SerializeToString()
    for plain in (b"magenta", b"json/plain", b"Canary"):
        assert plain not in told
    assert told != (await sealed(payload, OLD)).SerializeToString(), "who sees equal payloads would know that they are"


@given(payload=PAYLOADS)
async def test_after_a_rotation_the_new_key_encrypts_and_the_old_one_is_still_read(payload: Payload) -> None:
    before = await sealed(payload, OLD)
    assert await opened(before, NEW, OLD) == payload
    after = await sealed(payload, NEW, OLD)
    assert await opened(after, NEW) == payload
    assert await opened(after, OLD, NEW) == payload, "the order says which one encrypts, and nothing else"


@given(payload=PAYLOADS.filter(lambda payload: payload.metadata.get("encoding") != ENCODING))
@pytest.mark.parametrize("keys", [(), (OLD,)], ids=["without keys", "with one"])
async def test_what_was_never_encrypted_passes(keys: tuple[EncryptionKey, ...], payload: Payload) -> None:
    assert await opened(payload, *keys) == payload


async def test_without_keys_nothing_is_encrypted() -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    assert await sealed(payload) == payload


@given(payload=PAYLOADS, data=st.data())
async def test_a_changed_byte_is_noticed_wherever_it_is(payload: Payload, data: st.DataObject) -> None:
    encrypted = await sealed(payload, OLD)
    place = data.draw(st.integers(0, len(encrypted.data) - 1))
    change = data.draw(st.integers(1, 255))
    changed = bytearray(encrypted.data)
    changed[place] ^= change
    encrypted.data = bytes(changed)
    with pytest.raises(CannotDecrypt, match=r"damaged.*CAUCE_ENCRYPTION_KEYS.*key 2026-11"):
        await opened(encrypted, OLD, NEW)


@pytest.mark.parametrize("length", [0, 5, 12, 20])
async def test_a_payload_that_was_cut_off_is_noticed(length: int) -> None:
    encrypted = await sealed(Payload(data=b"1"), OLD)
    encrypted.data = encrypted.data[:length]
    with pytest.raises(CannotDecrypt, match="damaged"):
        await opened(encrypted, OLD)


async def test_a_payload_under_another_keys_name_is_noticed() -> None:
    """Even if both names stand for the same bytes: the metadata belongs to what is authenticated."""
    encrypted = await sealed(Payload(data=b"1"), OLD)
    encrypted.metadata["encryption-key-id"] = b"alias"
    with pytest.raises(CannotDecrypt, match="damaged"):
        await opened(encrypted, OLD, EncryptionKey("alias", OLD.secret))


async def test_other_bytes_under_the_same_id_are_told_without_them() -> None:
    encrypted = await sealed(Payload(data=b"1"), OLD)
    other = EncryptionKey(OLD.id, b"\x03" * 32)
    with pytest.raises(CannotDecrypt, match="other bytes than CAUCE_ENCRYPTION_KEYS has for key 2026-11") as told:
        await opened(encrypted, other)
    assert told.value.__cause__ is None
    for key in (OLD, other):
        assert key.secret.hex() not in repr(key) + str(told.value)
        assert repr(key.secret) not in repr(key)


@pytest.mark.parametrize("keys", [(), (NEW,)], ids=["without keys", "with another"])
async def test_an_unknown_key_is_named_with_the_setting_that_lacks_it(keys: tuple[EncryptionKey, ...]) -> None:
    with pytest.raises(CannotDecrypt, match="key 2026-11, which CAUCE_ENCRYPTION_KEYS does not have"):
        await opened(await sealed(Payload(data=b"1"), OLD), *keys)


@pytest.mark.parametrize("key_id", [b"", b"<script>", b"ada@example.com", b"\xff\xfe", b"x" * 17])
async def test_an_id_that_is_none_of_ours_is_not_repeated(key_id: bytes) -> None:
    foreign = Payload(metadata={"encoding": ENCODING, "encryption-key-id": key_id}, data=b"x" * 40)
    with pytest.raises(CannotDecrypt, match="a key of another program") as told:
        await opened(foreign, OLD)
    assert key_id.decode("latin-1") not in str(told.value) or not key_id


async def test_the_text_of_a_failure_is_encrypted_and_its_type_is_not() -> None:
    converter = data_converter([OLD])
    failure = Failure()
    try:
        raise ApplicationError("magenta", {"seen": "cyan"}, type="Refused")
    except ApplicationError as error:
        await converter.encode_failure(error, failure)
    kept = failure.SerializeToString()
    for plain in (b"magenta", b"cyan", b"test_encryption.py"):
        assert plain not in kept
    assert failure.application_failure_info.type == "Refused"
    told = await converter.decode_failure(failure)
    assert isinstance(told, ApplicationError)
    assert (told.message, list(told.details), told.type) == ("magenta", [{"seen": "cyan"}], "Refused")


async def test_without_keys_failures_are_what_they_always_were() -> None:
    failure = Failure()
    await data_converter(()).encode_failure(ApplicationError("magenta"), failure)
    assert failure.message == "magenta"
    assert not failure.HasField("encoded_attributes")


async def test_failures_from_before_the_first_key_are_read() -> None:
    failure = Failure()
    await pydantic_data_converter.encode_failure(ApplicationError("magenta"), failure)
    assert "magenta" in str(await data_converter([OLD]).decode_failure(failure))


async def test_the_longest_summary_fits_into_what_a_server_takes_when_it_is_encrypted() -> None:
    longest = data_converter([EncryptionKey("k" * MAX_ID_LENGTH, b"\x01" * 32)])
    (summary,) = await longest.encode(["ñ" * (MAX_SUMMARY // 2)])
    assert summary.ByteSize() <= SERVER_TAKES


SECRET = base64.b64encode(b"\x07" * 32).decode()


def test_keys_are_read_from_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUCE_ENCRYPTION_KEYS", f" 2027-01:{SECRET} ,2026-11:{base64.b64encode(OLD.secret).decode()},")
    settings = load_settings()
    assert settings.encryption_keys == (EncryptionKey("2027-01", b"\x07" * 32), OLD)
    assert repr(b"\x07") not in repr(settings)
    assert SECRET not in repr(settings)


@pytest.mark.parametrize("text", ["", "  ", ","])
def test_an_empty_setting_has_no_key(text: str) -> None:
    assert read_keys(text) == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SECRET, "key 1 needs an id and a colon before it"),
        (f"{SECRET}:2026-11", "key 1 needs an id"),
        (f":{SECRET}", "key 1 needs an id"),
        (f"a:{SECRET},{'x' * 17}:{SECRET}", "key 2 needs an id"),
        (f"a b:{SECRET}", "key 1 needs an id"),
        (f"a:{SECRET},b:", "key 2 is not 32 bytes in base64; make one with: openssl rand -base64 32"),
        (f"a:{SECRET[:20]}", "key 1 is not 32 bytes"),
        (f"a:{SECRET[:-1]}", "key 1 is not 32 bytes"),
        (f"a:{SECRET} {SECRET}", "key 1 is not 32 bytes"),
        (f"a:{base64.b64encode(bytes(33)).decode()}", "key 1 is not 32 bytes"),
        (f"a:{SECRET},a:{SECRET}", "two keys have the same id"),
        (f"a:é{SECRET}", "key 1 is not 32 bytes"),
    ],
)
def test_a_mistake_in_the_setting_is_told_by_its_place(monkeypatch: pytest.MonkeyPatch, text: str, told: str) -> None:
    monkeypatch.setenv("CAUCE_ENCRYPTION_KEYS", text)
    with pytest.raises(SettingsError, match="CAUCE_ENCRYPTION_KEYS: ") as error:
        load_settings()
    assert told in str(error.value)
    assert SECRET[:10] not in str(error.value)


@given(text=st.text(max_size=60))
def test_whatever_the_setting_holds_is_read_or_refused(text: str) -> None:
    try:
        keys = read_keys(text)
    except ValueError:
        return
    assert all(len(key.secret) == 32 for key in keys)


@given(keys=KEYS)
def test_what_operators_write_is_what_encrypts(keys: list[EncryptionKey]) -> None:
    text = ",".join(f"{key.id}:{base64.b64encode(key.secret).decode()}" for key in keys)
    assert Settings.model_validate({"encryption_keys": text}).encryption_keys == tuple(keys)
