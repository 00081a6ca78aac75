"""The work of one job: the user is fitted, or learning goes on, within what their budget has left.

Job → options → choices → open_learner → fit_stored (from its checkpoint) → Done
              └ "continue": prompts were learned → continue_learning → Done

A job that is begun again, because its worker died, does what is left of it (`begun`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from idiolect.application.choices import ChameleonChoices, FermiChoices
from idiolect.application.documents import outcome_document
from idiolect.application.fitting import FitEvents, fit_stored, open_learner
from idiolect.application.names import CHAMELEON, FERMI, AnsweringMode, ChameleonPresetName, MethodName
from idiolect.application.opinions import Continued, continue_learning
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import HaltedError, IdiolectError, StoreError, error_kind
from idiolect.methods.personalization import Observer, Progress
from idiolect.models.catalog import missing_for_similarity
from idiolect.serve.begun import Begun, rounds_of
from idiolect.store.jobs import Job, State

_FERMI_PRESETS = Literal["api", "demo", "local", "paper", "paper-offline"]
_Count = Annotated[int, Field(ge=1, le=1000, strict=True)]


class FitOptions(BaseModel):
    """How a user is to be fitted; what is left out is the method's or the model's usual setting."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Annotated[MethodName | None, Field(description="fermi or chameleon; by default what fits the model.")] = (
        None
    )
    continues: Annotated[
        bool, Field(alias="continue", description="Whether to go on from prompts that were learned, if there are any.")
    ] = False
    preset: _FERMI_PRESETS | ChameleonPresetName | None = None
    answering: AnsweringMode | None = None
    similarity: Annotated[
        str | None,
        Field(
            max_length=200,
            pattern="^(bm25|minilm)$",
            description="How questions are compared; by default the preset's, or bm25 without the packages for it.",
        ),
    ] = None
    iterations: Annotated[_Count | None, Field(description="Rounds of learning; Fermi's.")] = None
    max_tokens: Annotated[int | None, Field(ge=1, le=100_000, strict=True)] = None
    seed: Annotated[int, Field(ge=0, lt=2**32, strict=True)] = 0

    def choices(self, method: MethodName) -> FermiChoices | ChameleonChoices:
        """Return the choices for a method."""
        if method == CHAMELEON:
            return ChameleonChoices(
                self.preset, self.answering, self.similarity, max_tokens=self.max_tokens, seed=self.seed
            )
        return FermiChoices(
            self.preset,
            self.answering,
            self.similarity or self._installed_similarity,
            iterations=self.iterations,
            max_tokens=self.max_tokens,
            seed=self.seed,
        )

    @property
    def _installed_similarity(self) -> str | None:
        """Name of the similarity in place of the preset's, where a gateway that only forwards lacks packages for it."""
        lacks = self.preset in (None, "api") and missing_for_similarity("minilm") is not None
        return "bm25" if lacks else None


@dataclass(frozen=True, slots=True)
class Done:
    """How the work on a job ended.

    Args:
        state: "done" or "failed"; None: it was halted before it was done, and goes on from its checkpoint.
        result: what was learned, in numbers.
        error: why it failed, or was halted.
    """

    state: State | None
    result: Mapping[str, Any]
    error: str | None = None


async def do_job(workspace: AsyncWorkspace, job: Job, begun: Begun, observer: Observer) -> Done:
    """Do the work of a job.

    Args:
        workspace: a workspace of the job's own, of the user's tenant, with the limits of their budget.
        job: the job.
        begun: what is noted with the job.
        observer: receives every step.

    Raises:
        StoreError, CacheError: the store or the cache cannot be read or written.
    """
    options = FitOptions.model_validate(dict(job.options))
    try:
        if options.continues and job.method == FERMI:
            asked = options.iterations or 1
            iterations = max(0, begun.rounds + asked - rounds_of(workspace.store, job.user))  # of those not stored yet
            continued = await continue_learning(workspace, job.user, iterations=iterations, observer=observer)
            if continued is not None:
                return Done("done", _continued_document(continued))
        learner = await open_learner(workspace, options.choices(CHAMELEON if job.method == CHAMELEON else FERMI))
        report = await fit_stored(workspace, learner, [job.user], resume=True, events=FitEvents(progress=observer))
    except HaltedError as halted:
        return Done(None, {}, workspace.run.halted_by or str(halted))
    except StoreError:
        raise
    except IdiolectError as error:
        return Done("failed", {}, f"{error_kind(error)}: {error}")
    if not report.outcomes:
        return Done(None, {}, report.halted_by)
    outcome = report.outcomes[0]
    result = outcome_document(outcome)
    if outcome.state in ("learned", "already learned"):
        return Done("done", result)
    if outcome.state == "failed":
        return Done("failed", result, f"{error_kind(outcome.error)}: {outcome.error}")
    return Done(None, result, report.halted_by or (str(outcome.error) if outcome.error else "stopped early"))


def _continued_document(continued: Continued) -> dict[str, Any]:
    evidence = continued.after.evidence
    return {
        "state": "learned",
        "continued": True,
        "best_score_before": continued.before.best.score,
        "best_score": continued.after.best.score,
        "used": continued.after.used,
        "evidence": None if evidence is None else evidence.reason,
    }


def progress_document(progress: Progress) -> dict[str, Any]:
    """Return the document for a step: counts and scores, without texts."""
    return {
        "stage": progress.stage,
        "done": progress.done,
        "total": progress.total,
        "best_score": progress.best_score,
    }
