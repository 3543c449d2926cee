"""SendGrid's Recipients' Data Erasure on the loopback: strict about what it is sent, and failing as scripted."""

from __future__ import annotations

import json
from uuid import uuid4

from tests.integrations.fake_sendgrid import API_KEY, failure
from tests.integrations.scripted_server import Answer, Request, ScriptedServer


class FakeSendGridErasure(ScriptedServer):
    """Scripted answers are used up first; after them an erasure of addresses gets 202 with a job's id, other keys 401.

    Source: SendGrid v3 API reference, Recipients' Data Erasure: body, limits and answers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.erased: list[str] = []

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) != ("POST", "/v3/recipients/erasejob"):
            return failure(404, ("Not Found", ""))
        if request.headers.get("content-type") != "application/json":
            return failure(415, ("Content-Type should be application/json.", ""))
        with self._lock:
            answer = self._scripted() or self._judge(request)
            if answer.accepts and answer.lost is None:
                self.erased += request.json["email_addresses"]
            return answer

    def _judge(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {API_KEY}":
            return failure(401, ("Failed to authenticate", ""))
        addresses = request.json.get("email_addresses")
        if request.json.keys() != {"email_addresses"} or not isinstance(addresses, list) or len(set(addresses)) != 1:
            return failure(400, ("email_addresses is not valid", "email_addresses"))
        if any("@" not in address for address in addresses):
            return failure(400, (f"Email_address {addresses[0]} is not valid", "email_addresses"))
        return Answer(body=json.dumps({"job_id": str(uuid4())}).encode())
