"""`AsyncWorkspace`: the composition root - one store, one run of calls, one pool of open models, one event loop.

Everything is opened when first used, so that a use case that fails on a name or a file has written nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from idiolect.application.arguments import check_type
from idiolect.application.names import DEFAULT_MODEL
from idiolect.application.observers import Waiting, ignore, wait_quietly
from idiolect.application.owner import Owner
from idiolect.application.run import CallSettings, Run, Spending, open_run
from idiolect.application.tenant import chosen_tenant
from idiolect.models.language_model import ChoiceModel, CompletionModel, LanguageModel
from idiolect.store import Store
from idiolect.store.opening import locate
from idiolect.store.tenancy import checked_tenant

if TYPE_CHECKING:
    from idiolect.application.model_pool import ModelPool

_DEFAULT_CALLS = CallSettings()


@dataclass(frozen=True, slots=True)
class WorkspaceEvents:
    """Observers of a workspace.

    Args:
        waiting: receives a few words, and returns a context manager that shows them during work that takes seconds.
        uncertain: receives the number of calls that earlier runs left in flight, which may have been billed.
        interrupted: receives the number of calls in flight when Ctrl-C halts a use case.
    """

    waiting: Waiting = wait_quietly
    uncertain: Callable[[int], None] = ignore
    interrupted: Callable[[int], None] = ignore


@dataclass(frozen=True, slots=True)
class WorkspaceSettings:
    """Settings of a workspace.

    Args:
        target: the store: a folder or a database URL; None: `$IDIOLECT_STORE`, else the user's data folder.
        model: model that answers during learning: a name (see `models.catalog`), or a model object.
        optimizer: model that writes prompts; None: the model that answers.
        calls: settings for calls of models.
        create: whether to create the store and the tenant if they do not exist.
        tenant: the tenant of the store; None: `$IDIOLECT_TENANT`, else the default tenant.

    Raises:
        TypeError: a value has the wrong type.
        StoreError: the target is not the name of a folder or a valid URL, or the tenant's id is not valid.
    """

    target: str | Path | None = None
    model: str | LanguageModel = DEFAULT_MODEL
    optimizer: str | LanguageModel | None = None
    calls: CallSettings = _DEFAULT_CALLS
    create: bool = True
    tenant: str | None = None

    def __post_init__(self) -> None:
        check_type("target", self.target, (str, Path, type(None)))
        check_type("calls", self.calls, CallSettings)
        check_type("tenant", self.tenant, (str, type(None)))
        locate(self.target)
        checked_tenant(chosen_tenant(self.tenant))


NO_WORKSPACE_EVENTS = WorkspaceEvents()
_DEFAULT_SETTINGS = WorkspaceSettings()


class AsyncWorkspace:
    """The context of use cases: a store, calls of models, and open models. Use it with `async with`.

    It belongs to the event loop in which it was entered.
    """

    def __init__(
        self,
        settings: WorkspaceSettings = _DEFAULT_SETTINGS,
        *,
        events: WorkspaceEvents = NO_WORKSPACE_EVENTS,
        models: ModelPool | None = None,
    ) -> None:
        """Prepare a workspace; nothing is opened yet.

        Args:
            settings: the settings.
            events: observers.
            models: models of another workspace in the same event loop, which closes them; None: models of its own.
        """
        check_type("settings", settings, WorkspaceSettings)
        self.settings = settings
        self._events = events
        self._models, self._shares_models = models, models is not None
        self.model = self._named(settings.model)
        self.optimizer = None if settings.optimizer is None else self._named(settings.optimizer)
        self._store: Store | None = None
        self._run: Run | None = None
        self._halted = ""
        self._busy: Counter[Owner] = Counter()
        self._opened = ExitStack()

    @property
    def store(self) -> Store:
        """The store, opened when first used.

        Raises:
            StoreError: there is no store or tenant and `create` is false, or it is not a store, is locked, or was made
                by a newer Idiolect.
        """
        if self._store is None:
            settings = self.settings
            self._store = self._opened.enter_context(
                Store.open(settings.target, tenant=chosen_tenant(settings.tenant), create=settings.create)
            )
        return self._store

    @property
    def models(self) -> ModelPool:
        """The models that use cases have opened, and the means to open others."""
        if self._models is None:
            from idiolect.application.model_pool import ModelPool  # not for those who only look into the store

            self._models = ModelPool(self.settings.calls, self._events.waiting)
        return self._models

    @property
    def run(self) -> Run:
        """The calls of this workspace, with the store's cache, opened when first used.

        Raises:
            StoreError: the store cannot be opened.
            CacheError: the cache cannot be opened.
        """
        if self._run is None:
            calls, store = self.settings.calls, self.store
            path = store.cache_path if calls.cached else None
            self._run = self._opened.enter_context(open_run(calls, path, on_uncertain=self._events.uncertain))
            if self._halted:
                self._run.halt(self._halted)
        return self._run

    @property
    def opened_run(self) -> Run | None:
        """The calls of this workspace if a use case has opened them, otherwise None."""
        return self._run

    @property
    def opened_models(self) -> ModelPool | None:
        """The models if any use case has needed them, else None."""
        return self._models

    def halt(self, reason: str) -> None:
        """Make no further call, even if none was made yet; calls in flight are completed and kept.

        Call this in the thread of the workspace's event loop.
        """
        self._halted = reason
        if self._run is not None:
            self._run.halt(reason)

    def spending(self) -> Spending:
        """Return the cost of this workspace's calls so far."""
        return Spending() if self._run is None else self._run.spending()

    def pause_left(self) -> float:
        """Return for how many more seconds calls wait because a server asks for that; 0 if they don't."""
        return 0.0 if self._run is None else self._run.pause_left()

    @contextmanager
    def working_on(self, owner: Owner) -> Iterator[None]:
        """Mark an owner's data as in use while the context is open, so that a user cannot be forgotten meanwhile."""
        self._busy[owner] += 1
        try:
            yield
        finally:
            self._busy[owner] -= 1

    def works_on(self, owner: Owner) -> bool:
        """Return whether a use case is using the owner's data."""
        return self._busy[owner] > 0

    async def forget_prompts(self) -> None:
        """Drop the prompts that open models have cached."""
        if self._models is not None:
            await self._models.forget_prompts()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            self._opened.close()
        finally:
            if self._models is not None and not self._shares_models:
                await self._models.aclose()

    def _named(self, model: str | LanguageModel) -> str:
        if isinstance(model, str):
            return model
        if not isinstance(model, CompletionModel | ChoiceModel):
            raise TypeError(
                "expected the name of a model, or an object with `name` and `complete` or `choice_logprobs`, "
                f"found {type(model)!r}"
            )
        return self.models.add(model)
