"""The app as a test calls it: the real routes, database and Temporal, over an in-process transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from sqlmodel import select
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from api.app import routed
from api.wiring import Services, make_services
from runtime.settings import Settings
from store.tables import ContactRow, EnrollmentRow, EventRow
from workflows.discovery import FlowClass, discover_flows

ADA = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace", "consent": {"product-news": True}}
_idle: set[FastAPI] = set()
"""Apps that no test uses now: making one takes longer than most tests, and its services alone tell tests apart."""


class Caller:
    """An integrator, and a look behind the API into its database."""

    def __init__(self, app: FastAPI, http: httpx.AsyncClient) -> None:
        self.app = app
        self.http = http
        self.services: Services = app.state.services

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.http.get(path, params=query or None)

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.http.post(path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    async def contact(self, **profile: Any) -> dict[str, Any]:
        """Create Ada, or who `profile` says."""
        answer = await self.post("/v1/contacts", {**ADA, **profile})
        assert answer.is_success, answer.text
        contact: dict[str, Any] = answer.json()
        return contact

    async def enroll(self, flow: str = "onboarding", **request: Any) -> dict[str, Any]:
        """Enroll Ada, or who the request says."""
        who = {} if "contact_id" in request else {"contact": ADA}
        answer = await self.post(f"/v1/flows/{flow}/enrollments", {**who, **request})
        assert answer.status_code == 201, answer.text
        enrollment: dict[str, Any] = answer.json()
        return enrollment

    async def contacts(self) -> list[ContactRow]:
        async with self.services.database.read() as session:
            return list(await session.exec(select(ContactRow)))

    async def enrollments(self) -> list[EnrollmentRow]:
        async with self.services.database.read() as session:
            return list(await session.exec(select(EnrollmentRow)))

    async def events(self) -> list[EventRow]:
        async with self.services.database.read() as session:
            return list(await session.exec(select(EventRow)))


@asynccontextmanager
async def calling(
    settings: Settings, client: Client, flows: Mapping[str, FlowClass] | None = None, **headers: str
) -> AsyncIterator[Caller]:
    known = discover_flows() if flows is None else flows
    app = next((app for app in _idle if app.state.services.flows == known), None) or routed(known)
    _idle.discard(app)
    app.state.services = make_services(settings, client, known)
    http = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000", headers=headers, timeout=30
    )
    async with app.router.lifespan_context(app), http:
        yield Caller(app, http)
    _idle.add(app)


@asynccontextmanager
async def served(api: Caller, port: int) -> AsyncIterator[str]:
    """The app behind a real server; gives its address."""
    server = uvicorn.Server(uvicorn.Config(api.app, port=port, lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn tells it in no other way)
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


async def client_of_nobody(port: int) -> Client:
    """A client that aims at a port where nobody listens."""
    return await Client.connect(f"127.0.0.1:{port}", lazy=True, data_converter=pydantic_data_converter)


def assert_problem(answer: httpx.Response, status: int, kind: str | None = None) -> dict[str, Any]:
    """The answer is a problem document of this status; answer its content."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:cauce:problem:")
    assert problem["title"]
    assert problem["detail"]
    if kind is not None:
        assert problem["type"] == f"urn:cauce:problem:{kind}"
    return problem


def fields_at_fault(problem: dict[str, Any]) -> list[str]:
    return [error["field"] for error in problem["errors"]]
