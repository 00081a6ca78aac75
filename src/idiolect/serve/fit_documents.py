"""Jobs as JSON, and their type for `openapi`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from idiolect.store.jobs import Job, State


class FitDocument(BaseModel):
    """A fit that was asked for."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["fit"] = "fit"
    user: str
    method: str
    options: dict[str, Any]
    state: State
    cancelling: Annotated[bool, Field(description="Whether it is to end, while a worker has it.")]
    attempts: Annotated[int, Field(description="How many workers have begun it.")]
    progress: dict[str, Any]
    result: Annotated[dict[str, Any] | None, Field(description="What was learned, in numbers.")]
    error: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class FitList(BaseModel):
    """The fits of a user, the newest first."""

    object: Literal["list"] = "list"
    data: list[FitDocument]


def job_document(job: Job) -> dict[str, Any]:
    """Return the document for a job."""
    return {
        "id": job.id,
        "object": "fit",
        "user": job.user,
        "method": job.method,
        "options": dict(job.options),
        "state": job.state,
        "cancelling": job.cancelling and not job.ended,
        "attempts": job.attempts,
        "progress": dict(job.progress),
        "result": dict(job.result) or None,
        "error": job.error,
        "created_at": job.created_at.isoformat(),
        "started_at": _moment(job.started_at),
        "finished_at": _moment(job.finished_at),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
