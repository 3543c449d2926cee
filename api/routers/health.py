"""For machines that watch this one: alive, ready, and measured. No key is needed, and nothing personal is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import RPCError, RPCStatusCode

from api.wiring import Services, Wired
from store.database import DatabaseNotReady

router = APIRouter(tags=["health"])

PATIENCE = timedelta(seconds=2)


class Liveness(BaseModel):
    status: Literal["alive"] = "alive"


class Check(BaseModel):
    ok: bool
    detail: str = Field(description="what is wrong and how to mend it, or what is right")


class Readiness(BaseModel):
    status: Literal["ready", "not ready"]
    checks: dict[str, Check] = Field(
        examples=[{"database": {"ok": True, "detail": "migrated"}, "temporal": {"ok": True, "detail": "answers"}}]
    )


@router.get("/healthz")
async def liveness() -> Liveness:
    """This process runs."""
    return Liveness()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A dependency is missing"}})
async def readiness(response: Response, services: Wired) -> Readiness:
    """Whether each dependency answers. Without Temporal, enrollments and events are still accepted."""
    checks = {"database": await _check(services, _database), "temporal": await _check(services, _temporal)}
    ready = all(check.ok for check in checks.values())
    response.status_code = 200 if ready else 503
    return Readiness(status="ready" if ready else "not ready", checks=checks)


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus metrics"}},
)
async def metrics(services: Wired) -> Response:
    """Requests, enrollments and events that this process has answered."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)


class _Missing(Exception):
    """A dependency cannot be used; the text says how to mend it."""


async def _check(services: Services, dependency: Callable[[Services], Awaitable[str]]) -> Check:
    try:
        return Check(ok=True, detail=await dependency(services))
    except _Missing as missing:
        return Check(ok=False, detail=str(missing))


async def _database(services: Services) -> str:
    try:
        await services.database.require_current()
    except DatabaseNotReady as error:
        raise _Missing(str(error)) from None
    except (SQLAlchemyError, OSError) as error:
        raise _Missing(
            f"does not answer ({type(error).__name__}): check CAUCE_DATABASE_URL and that the server runs"
        ) from None
    return "answers, and every migration has run"


async def _temporal(services: Services) -> str:
    client = services.client
    try:
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), timeout=PATIENCE
        )
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            raise _Missing(f"has no namespace {client.namespace}: create it, or set TEMPORAL_NAMESPACE") from None
        raise _Missing(f"answers {error.status.name}: check TEMPORAL_ADDRESS and its credentials") from None
    except RuntimeError:  # what a lazy client raises while it cannot connect
        raise _Missing("cannot be reached: start the server, or set TEMPORAL_ADDRESS") from None
    return f"answers for namespace {client.namespace}"
