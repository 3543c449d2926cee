"""SendGrid's Mail Send endpoint on the loopback: strict about what it is sent, and failing as scripted.

As a process: `python -m tests.integrations.fake_sendgrid --port 8025 --log accepted.jsonl`
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from tests.integrations.scripted_server import Answer, Request, ScriptedServer
from tests.integrations.sendgrid_webhook import webhook_event

API_KEY = "SG.fake.0123456789"
MAX_BYTES = 30 * 1024 * 1024


class DeliveredLetter(NamedTuple):
    """One message as its recipient gets it. Names of `headers` are in lower case."""

    message_id: str
    to_email: str
    to_name: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]
    categories: tuple[str, ...]


class FakeSendGrid(ScriptedServer):
    """Scripted answers are used up first, whatever the request holds. After them valid messages get 202 with an
    `X-Message-Id`, invalid ones 400, other keys 401. Everything here may be read from any thread.
    """

    def __init__(self, port: int = 0, api_key: str = API_KEY, log: Path | None = None) -> None:
        super().__init__(port)
        self.api_key = api_key
        self.accepted: list[dict[str, Any]] = []
        self.requests = 0
        self._receipts: list[tuple[str, datetime]] = []
        self._log = log

    def messages(self, message_id: str) -> list[dict[str, Any]]:
        """The accepted bodies that carry this id of ours."""
        with self._lock:
            return [body for body in self.accepted if message_id in {letter.message_id for letter in letters(body)}]

    def delivered(self) -> list[DeliveredLetter]:
        """What each recipient reads, in the order in which it was accepted."""
        with self._lock:
            return [letter for body in self.accepted for letter in letters(body)]

    def webhook_bodies(self, *names: str, events_per_body: int = 1000) -> list[bytes]:
        """What the event webhook posts of all that was accepted so far: an event of each of these names, a second
        apart, for each message. Asked again, an event comes again with its id.
        """
        with self._lock:
            receipts = zip(self.accepted, self._receipts, strict=True)
            events = [
                webhook_event(
                    name,
                    letter.message_id,
                    accepted_at + timedelta(seconds=number),
                    email=letter.to_email,
                    category=body["categories"],
                    sg_event_id=f"{receipt}-{place}-{number}-{name}",
                    sg_message_id=f"{receipt}.recvd-5f54b5d587-pczjm-1-67BADEEA-6.{place}",
                )
                for body, (receipt, accepted_at) in receipts
                for place, letter in enumerate(letters(body))
                for number, name in enumerate(names)
            ]
        return [
            json.dumps(events[begins : begins + events_per_body]).encode()
            for begins in range(0, len(events), events_per_body)
        ]

    def answer(self, request: Request) -> Answer:
        """Decide on one request, and record its body when it is accepted."""
        if request.method != "POST":
            return failure(405, ("method not allowed", None))
        if request.path != "/v3/mail/send":
            return failure(404, ("Not Found", None))
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return failure(415, ("Content-Type should be application/json.", None))
        with self._lock:
            self.requests += 1
            answer = self._scripted() or self._judge(request.headers.get("authorization", ""), request.body)
            if answer.accepts:
                self._accept(json.loads(request.body), answer.headers.get("X-Message-Id", uuid4().hex))
            return answer

    def _judge(self, authorization: str, raw: bytes) -> Answer:
        if authorization != f"Bearer {self.api_key}":
            return failure(401, ("The provided authorization grant is invalid, expired, or revoked", None))
        if len(raw) > MAX_BYTES:
            return failure(413, ("The payload is too large", None))
        try:
            body = json.loads(raw)
        except ValueError:
            return failure(400, ("Bad Request", None))
        complaints = [(f"{name} is not valid: {raw.decode()}", name) for name in invalid_fields(body)]
        if complaints:
            return failure(400, *complaints)
        return Answer(headers={"X-Message-Id": uuid4().hex})

    def _accept(self, body: dict[str, Any], receipt: str) -> None:
        self.accepted.append(body)
        self._receipts.append((receipt, datetime.now(UTC)))
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(body) + "\n")


def letters(body: dict[str, Any]) -> list[DeliveredLetter]:
    """What the recipients of an accepted body read: what a personalization has of its own takes the shared one's place.

    Source: SendGrid v3 API reference, Mail Send: personalizations; substitutions apply to subject, text and HTML.
    """
    read = []
    for own in body["personalizations"]:
        parts = {part["type"]: _substituted(part["value"], own) for part in body["content"]}
        arguments = {**body.get("custom_args", {}), **own.get("custom_args", {})}
        headers = {**body.get("headers", {}), **own.get("headers", {})}
        for person in own["to"]:
            letter = DeliveredLetter(
                message_id=arguments["cauce_message_id"],
                to_email=person["email"],
                to_name=person.get("name", ""),
                subject=_substituted(own.get("subject", body.get("subject", "")), own),
                text=parts.get("text/plain", ""),
                html=parts.get("text/html", ""),
                headers={name.lower(): value for name, value in headers.items()},
                categories=tuple(body["categories"]),
            )
            read.append(letter)
    return read


def _substituted(text: str, personalization: dict[str, Any]) -> str:
    for tag, value in personalization.get("substitutions", {}).items():
        text = text.replace(tag, value)
    return text


def failure(status: int, *complaints: tuple[str, str | None], headers: Mapping[str, str] | None = None) -> Answer:
    """An answer as SendGrid words it; each complaint is a message and the field that it is about."""
    errors = [{"message": message, "field": name, "help": None} for message, name in complaints]
    return Answer(status=status, headers=headers or {}, body=json.dumps({"errors": errors}).encode())


def invalid_fields(body: object) -> Iterator[str]:
    """The names of the fields that SendGrid refuses in a v3 Mail Send body.

    Source: SendGrid v3 API reference, Mail Send: required fields, limits and reserved headers.
    """
    if not isinstance(body, dict):
        yield "body"
        return
    yield from (name for name in body if name not in _FIELDS)
    yield from _invalid_personalizations(body.get("personalizations"))
    if not _is_person(body.get("from")):
        yield "from"
    if not (_is_line(body.get("subject")) or ("subject" not in body and _all_have_subjects(body))):
        yield "subject"
    if not _is_content(body.get("content")):
        yield "content"
    for name in ("headers", "custom_args"):
        if not _are_strings(body.get(name, {})):
            yield name
    if any(name.lower() in _RESERVED_HEADERS for name in body.get("headers", {})):
        yield "headers"
    if len(json.dumps(body.get("custom_args", {}))) > 10_000:
        yield "custom_args"
    if not _are_categories(body.get("categories", [])):
        yield "categories"
    if not isinstance(body.get("tracking_settings", {}), dict):
        yield "tracking_settings"


# Of all that SendGrid knows, what Cauce sends.
_FIELDS = {
    *("personalizations", "from", "subject", "content"),
    *("headers", "categories", "custom_args", "tracking_settings"),
}
_RESERVED_HEADERS = {
    *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"),
    *("to", "from", "subject", "reply-to", "cc", "bcc"),
}
_OWN = {"to", "subject", "headers", "custom_args", "substitutions"}
_ADDRESS = re.compile(r"[^\s<>,;@]+@[^\s<>,;@]+")


def _invalid_personalizations(value: object) -> Iterator[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= 1000:
        yield "personalizations"
        return
    for number, personalization in enumerate(value):
        people = personalization.get("to") if isinstance(personalization, dict) else None
        if not isinstance(people, list) or not people or not personalization.keys() <= _OWN:
            yield f"personalizations.{number}.to"
            continue
        yield from _invalid_of_its_own(number, personalization)
        for index, person in enumerate(people):
            if not _is_person(person):
                yield f"personalizations.{number}.to.{index}.email"
        addresses = [str(person.get("email")).lower() for person in people if isinstance(person, dict)]
        if len(addresses) != len(set(addresses)):
            yield f"personalizations.{number}.to"


def _invalid_of_its_own(number: int, personalization: dict[str, Any]) -> Iterator[str]:
    if not _is_line(personalization.get("subject", "none")):
        yield f"personalizations.{number}.subject"
    for name in ("headers", "custom_args", "substitutions"):
        if not _are_strings(personalization.get(name, {})):
            yield f"personalizations.{number}.{name}"
    if any(name.lower() in _RESERVED_HEADERS for name in personalization.get("headers", {})):
        yield f"personalizations.{number}.headers"
    if len(json.dumps(personalization.get("substitutions", {}), ensure_ascii=False).encode()) > 10_000:
        yield f"personalizations.{number}.substitutions"


def _all_have_subjects(body: dict[str, Any]) -> bool:
    found = body.get("personalizations")
    return isinstance(found, list) and all(isinstance(each, dict) and "subject" in each for each in found)


def _is_person(value: object) -> bool:
    if not isinstance(value, dict) or not value.keys() <= {"email", "name"}:
        return False
    email, name = value.get("email"), value.get("name", "no name")
    return isinstance(email, str) and _ADDRESS.fullmatch(email) is not None and (name == "" or _is_line(name))


def _is_line(value: object) -> bool:
    return isinstance(value, str) and len(value.splitlines()) == 1


def _is_content(value: object) -> bool:
    if not isinstance(value, list) or not all(isinstance(part, dict) and _are_strings(part) for part in value):
        return False
    kinds = [part.get("type") for part in value]
    return kinds in (["text/plain"], ["text/html"], ["text/plain", "text/html"]) and all(
        part.keys() == {"type", "value"} and part["value"] for part in value
    )


def _are_strings(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _are_categories(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 10
        and all(_is_line(name) and len(name) <= 255 for name in value)
        and len(set(value)) == len(value)
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="SendGrid's Mail Send endpoint on the loopback")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log", type=Path, help="file that gets each accepted body as a line of JSON")
    parser.add_argument("--api-key", default=API_KEY)
    options = parser.parse_args(arguments)
    with FakeSendGrid(options.port, options.api_key, options.log) as fake:
        sys.stdout.write(f"{fake.url}\n")
        sys.stdout.flush()
        fake.wait()


if __name__ == "__main__":
    main()
