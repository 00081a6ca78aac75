"""`Workspace`: the use cases for callers that don't await - a thin layer over the async functions.

The event loop runs in its own thread (anyio's blocking portal), so a workspace works in a script, in a notebook, and
where another event loop is running. Observers are called in that thread.

A use case is imported by the method that runs it, because a method of learning takes longer to import than a look into
the store takes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from idiolect.application.choices import ChameleonChoices, FermiChoices
from idiolect.application.fitting import NO_EVENTS
from idiolect.application.names import DEFAULT_MODEL
from idiolect.application.observers import ignore
from idiolect.application.owner import Owner
from idiolect.application.persons import export_person, forget, known_about, to_forget
from idiolect.application.portal import STOPPED_BY_HAND, Portal
from idiolect.application.run import CallSettings
from idiolect.application.workspace import NO_WORKSPACE_EVENTS, AsyncWorkspace, WorkspaceSettings
from idiolect.methods.personalization import ignore_progress
from idiolect.people.user import Question

if TYPE_CHECKING:
    from idiolect.application.adapters import AdapterExported
    from idiolect.application.asking import Asked
    from idiolect.application.chat_messages import ChatMessage
    from idiolect.application.dispositions import PersonsDispositions
    from idiolect.application.fitting import FitEvents, FitReport
    from idiolect.application.forecasting import ChameleonForecast, FermiForecast
    from idiolect.application.groups import GroupFitted
    from idiolect.application.names import AskedMethod
    from idiolect.application.opinions import Change, OpinionAdded
    from idiolect.application.personalized_chat import ChatAnswer, PersonalizedChat
    from idiolect.application.persons import ExportedPerson, Known, ToForget
    from idiolect.application.run import Spending
    from idiolect.application.workspace import WorkspaceEvents
    from idiolect.erasure.receipt import Receipt
    from idiolect.export.exporting import ExportOptions
    from idiolect.methods.fermi.dispositions import DispositionEdits
    from idiolect.methods.personalization import Observer
    from idiolect.models.language_model import LanguageModel, SamplingParams
    from idiolect.people.user import Opinion, User
    from idiolect.store import Store, UserSummary

T = TypeVar("T")

_DEFAULT_CALLS, _DEFAULT_CHOICES = CallSettings(), FermiChoices()


class Workspace:
    """A store, models, and the use cases that work on them. Open it with `Workspace.open`, and close it or use `with`.

    Ctrl-C during a use case halts it: no further call is made, and calls in flight are awaited for up to ten seconds
    and kept (a second Ctrl-C does not wait). Then `KeyboardInterrupt` is raised, as `portal.Interrupted` with the
    result if the use case was completed. A workspace that was halted, or has reached a limit, makes no more calls; open
    another one. Observers run in the event loop's thread, where they may use the workspace's `store`, `spending` and
    `halt`.
    """

    def __init__(self, settings: WorkspaceSettings, events: WorkspaceEvents) -> None:
        self._events = events
        self._portal = Portal()
        try:
            self._space = self._portal.enter(partial(AsyncWorkspace, settings, events=events))
        except BaseException:
            self._portal.close()
            raise

    @classmethod
    def open(
        cls,
        target: str | Path | None = None,
        *,
        model: str | LanguageModel = DEFAULT_MODEL,
        optimizer: str | LanguageModel | None = None,
        calls: CallSettings = _DEFAULT_CALLS,
        create: bool = True,
        tenant: str | None = None,
        events: WorkspaceEvents = NO_WORKSPACE_EVENTS,
    ) -> Workspace:
        """Open a workspace. The store and the models are opened when first used.

        Args:
            target: the store: a folder or a database URL; None: `$IDIOLECT_STORE`, else the user's data folder.
            model: model that answers during learning: "embedded", "gpt-4o-mini", a URL, a Hugging Face id, a folder, or
                a model object of your own. Questions are answered with the model of the fit; if that was an object of
                your own, pass it here again.
            optimizer: model that writes prompts; None: the model that answers.
            calls: settings for calls of models.
            create: whether to create the store and the tenant if they do not exist.
            tenant: the tenant of the store; None: `$IDIOLECT_TENANT`, else the default tenant.
            events: observers.

        Raises:
            StoreError: the target is not the name of a folder or a valid URL, or the tenant's id is not valid.
        """
        return cls(WorkspaceSettings(target, model, optimizer, calls, create, tenant), events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Halt running use cases, and close the store and the models. The workspace cannot be used afterwards.

        Raises:
            RuntimeError: this is the event loop's thread, in which observers are called.
        """
        self._portal.check_thread()
        self.halt("the workspace is closed")
        self._portal.close()

    @property
    def store(self) -> Store:
        """The store: users, groups, and what was learned for them. Any thread may use it, also an observer."""
        if self._portal.closed:
            raise RuntimeError("the workspace is closed")
        return self._space.store

    def spending(self) -> Spending:
        """Return the cost of this workspace's calls so far. Any thread may call this, also an observer."""
        return self._space.spending()

    def pause_left(self) -> float:
        """Return for how many more seconds calls wait because a server asks for that. Any thread may call this."""
        return self._space.pause_left()

    def halt(self, reason: str = "halted by the caller") -> None:
        """Make no further call; calls in flight are completed and kept. Any thread may call this, also an observer."""
        self._portal.soon(partial(self._space.halt, reason))

    def fit(
        self,
        users: Iterable[User],
        choices: FermiChoices | ChameleonChoices = _DEFAULT_CHOICES,
        *,
        resume: bool = False,
        events: FitEvents = NO_EVENTS,
    ) -> FitReport:
        """Save users, and learn from each of them; see `fitting.open_learner` and `fitting.fit_users`."""
        from idiolect.application.fitting import fit_users, open_learner

        async def fit() -> FitReport:
            learner = await open_learner(self._space, choices)
            return await fit_users(self._space, learner, users, resume=resume, events=events)

        return self._call(fit)

    def ask(
        self,
        owner: str | Owner,
        question: str | Question,
        *,
        choices: Sequence[str] = (),
        ordinal: bool = False,
        method: AskedMethod | None = None,
        with_base: bool = False,
    ) -> Asked:
        """Answer a question as a user, or with what was learned for a group; see `asking.ask`.

        Args:
            owner: id of a user, or an owner.
            question: text of the question, or a question with its choices.
            choices: answers to choose from; empty: free text.
            ordinal: whether the choices form an ordered scale.
            method: method that answers; None: the one that has learned, or Fermi if both have.
            with_base: also ask the base model.
        """
        from idiolect.application.asking import ask

        if isinstance(question, Question) and (choices or ordinal):
            raise ValueError("choices and ordinal cannot be given with a Question, which has its own")
        asked = Question(question, choices, ordinal) if isinstance(question, str) else question
        whose = Owner.user(owner) if isinstance(owner, str) else owner
        return self._call(partial(ask, self._space, whose, asked, method=method, with_base=with_base))

    def personalized_chat(
        self,
        owner: str | Owner,
        messages: Sequence[ChatMessage],
        *,
        method: AskedMethod | None = None,
        model: str | None = None,
        sampling: SamplingParams | None = None,
        score: bool = False,
    ) -> PersonalizedChat:
        """Return a conversation as it is to be sent for a user, and the model; see `chats.personalized_chat`."""
        from idiolect.application.chats import personalized_chat
        from idiolect.application.personalized_chat import CHAT_SAMPLING

        whose = Owner.user(owner) if isinstance(owner, str) else owner
        prepare = partial(personalized_chat, self._space, whose, messages, method=method, model=model, score=score)
        return self._call(partial(prepare, sampling=CHAT_SAMPLING if sampling is None else sampling))

    def chat(self, prepared: PersonalizedChat) -> ChatAnswer:
        """Answer a conversation; see `chats.chat`."""
        from idiolect.application.chats import chat

        return self._call(partial(chat, self._space, prepared))

    def stream_chat(self, prepared: PersonalizedChat) -> Generator[str | ChatAnswer, None, None]:
        """Yield the pieces of the answer to a conversation, then the whole; see `chats.stream_chat`.

        Ctrl-C, or closing the generator, cancels this answer and nothing else; the workspace is not halted.
        """
        from idiolect.application.chats import stream_chat

        return self.stream(partial(stream_chat, prepared=prepared))

    def add_opinion(
        self,
        user_id: str,
        opinion: Opinion,
        *,
        iterations: int | None = 1,
        observer: Observer = ignore_progress,
        on_kept: Callable[[Change], None] = ignore,
    ) -> OpinionAdded:
        """Store one more opinion of a user, and continue learning from it; see `opinions.add_opinion`."""
        from idiolect.application.opinions import add_opinion

        add = partial(add_opinion, self._space, user_id, opinion)
        return self._call(partial(add, iterations=iterations, observer=observer, on_kept=on_kept))

    def remove_opinion(self, user_id: str, question: str, choices: Sequence[str] | None = None) -> UserSummary:
        """Delete one opinion of a user; see `opinions.remove_opinion`."""
        from idiolect.application.opinions import remove_opinion

        return self._call(partial(remove_opinion, self._space, user_id, question, choices))

    def dispositions(self, user_id: str) -> PersonsDispositions:
        """Return the dispositions of a user; see `dispositions.dispositions`."""
        from idiolect.application.dispositions import dispositions

        return self._call(partial(dispositions, self._space, user_id))

    def edit_dispositions(self, user_id: str, edits: DispositionEdits) -> PersonsDispositions:
        """Strike, restore, reword or add dispositions of a user; see `dispositions.edit_dispositions`."""
        from idiolect.application.dispositions import edit_dispositions

        return self._call(partial(edit_dispositions, self._space, user_id, edits))

    def known_about(self, user_id: str) -> Known:
        """Return everything known about a user, with what was learned for them; see `persons.known_about`."""
        return self._call(partial(known_about, self._space, user_id))

    def export_person(self, user_id: str) -> ExportedPerson:
        """Collect everything that is held about a user; see `persons.export_person`."""
        return self._call(partial(export_person, self._space, user_id))

    def to_forget(self, user_id: str) -> ToForget:
        """Count the data that `forget` would delete; see `persons.to_forget`."""
        return self._call(partial(to_forget, self._space, user_id))

    def forget(self, user_id: str) -> Receipt:
        """Delete everything that is held about a user, and return the receipt; see `persons.forget`."""
        return self._call(partial(forget, self._space, user_id))

    def fit_group(
        self,
        group_id: str,
        choices: ChameleonChoices | None = None,
        *,
        observer: Observer = ignore_progress,
    ) -> GroupFitted:
        """Learn one edit from all members of a group, which `store.groups` creates; see `groups.fit_group`."""
        from idiolect.application.groups import fit_group

        chosen = ChameleonChoices() if choices is None else choices
        return self._call(partial(fit_group, self._space, group_id, chosen, observer=observer))

    def export_adapter(
        self, owner: str | Owner, options: ExportOptions, *, even_if_unused: bool = False, name_owner: bool = False
    ) -> AdapterExported:
        """Export an edit as a LoRA that other engines load; see `adapters.export_adapter`."""
        from idiolect.application.adapters import export_adapter

        whose = Owner.user(owner) if isinstance(owner, str) else owner
        return self._call(
            partial(
                export_adapter,
                self._space,
                whose,
                options,
                even_if_unused=even_if_unused,
                name_owner=name_owner,
            )
        )

    def forecast(
        self, users: Iterable[User], choices: FermiChoices | ChameleonChoices = _DEFAULT_CHOICES
    ) -> FermiForecast | ChameleonForecast:
        """Estimate the cost of learning from these users, without a call and without writing anything."""
        from idiolect.application.forecasting import forecast

        space = self._space
        cost = partial(forecast, users, choices, model=space.model, optimizer=space.optimizer)
        return self._call(partial(cost, prices=space.settings.calls.prices, pool=space.opened_models))

    def call(self, use_case: Callable[[AsyncWorkspace], Awaitable[T]]) -> T:
        """Run a use case of `idiolect.application`, or one of your own, with the workspace as its only argument.

        Args:
            use_case: async function that takes the workspace; `functools.partial` sets further arguments.
        """
        return self._call(partial(use_case, self._space))

    def stream(self, use_case: Callable[[AsyncWorkspace], AsyncGenerator[T, None]]) -> Generator[T, None, None]:
        """Yield the items of a use case that streams, like `call`; Ctrl-C cancels it without halting the workspace."""
        return self._portal.iterate(partial(use_case, self._space))

    def _call(self, use_case: Callable[[], Awaitable[T]]) -> T:
        """Run a use case in the event loop's thread, and wait for it."""
        return self._portal.call(use_case, interrupted=self._interrupted)

    def _interrupted(self) -> bool:
        run = self._space.opened_run
        if run is not None:
            self._events.interrupted(run.in_flight)
        self.halt(STOPPED_BY_HAND)
        return run is not None
