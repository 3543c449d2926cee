"""A receiver of webhooks on the loopback: keeps what came, and answers as scripted, or 204."""

from __future__ import annotations

from tests.integrations.scripted_server import Answer, Request, ScriptedServer


class WebhookReceiver(ScriptedServer):
    def __init__(self) -> None:
        super().__init__()
        self.posted: list[Request] = []

    @property
    def url(self) -> str:
        return f"{super().url}/hook?from=cauce"

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.posted.append(request)
            return self._scripted() or Answer(status=204)
