"""CHAMELEON's part of the demo: a writer's edit from 18 of their texts, judged on 6 that it has not seen.

    gain = mean over unseen texts of  log p(text | edited) − log p(text | base)      nat per token, never chosen by

Beside it, both continue the beginning of an unseen text. The decision of the gate is printed, whatever it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from idiolect.application.chameleon import ChameleonLearner, editable_model
from idiolect.application.chameleon_starts import packaged_start
from idiolect.application.choices import ChameleonChoices, chameleon_settings
from idiolect.application.documents import edit_document
from idiolect.application.fermi import FermiLearner
from idiolect.application.names import DEFAULT_MODEL
from idiolect.cli.learned_screen import print_edit
from idiolect.cli.progress import UsersProgress
from idiolect.cli.terminal import one_line, out, print_wrapped
from idiolect.models.language_model import CompletionRequest, LanguageModel, Message, SamplingParams
from idiolect.people.user import User

if TYPE_CHECKING:
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization
    from idiolect.methods.chameleon.settings import ChameleonSettings

N_LEARN = 18
_BEGINNING_WORDS, _CONTINUATION_TOKENS = 8, 32


@dataclass(frozen=True, slots=True)
class WriterTrial:
    """What came out for one writer.

    Args:
        user: who.
        unseen: texts that were kept back.
        learned: the edit.
        gains: per unseen text, log-probability under the edit minus the base model's, nat per token.
        beginning: of an unseen text.
        continued: how the base model and the edited one go on.
        seconds: all of it.
    """

    user: User
    unseen: tuple[str, ...]
    learned: ChameleonPersonalization
    gains: tuple[float, ...]
    beginning: str
    continued: tuple[str, str]
    seconds: float

    @property
    def gain(self) -> float:
        """The mean of the gains."""
        return sum(self.gains) / len(self.gains)

    @property
    def fluency(self) -> float:
        """The same on the model's own texts, as measured when the strength of the edit was found."""
        return next(trial.fluency for trial in self.learned.trials if trial.variant == self.learned.variant)


def writer_settings(*, seed: int) -> ChameleonSettings:
    """Return the preset of the embedded model, for which a group's edit is packaged.

    Raises:
        MissingExtraError: local models are not installed.
    """
    return chameleon_settings(ChameleonChoices(seed=seed), model=DEFAULT_MODEL)


async def try_writer(
    opened: FermiLearner, settings: ChameleonSettings, user: User, progress: UsersProgress
) -> WriterTrial:
    """Learn, and compare on what was kept back.

    Args:
        opened: its model is edited.

    Raises:
        ModelError: the model could not answer.
        PersonalizationError: the writer has too few texts.
    """
    from idiolect.methods.chameleon.judging import log_likelihoods

    start = time.perf_counter()
    known, unseen = replace(user, texts=user.texts[:N_LEARN]), user.texts[N_LEARN:]
    begin = await packaged_start(DEFAULT_MODEL, opened.model.fingerprint(), editable_model(opened.model))
    learner = ChameleonLearner(settings, opened.model, "", start=begin)
    learned = await learner.chameleon(user.id).fit(known, observer=progress.observe)
    model, edited = opened.model.model, editable_model(opened.model).with_edit(learned.edit)
    before, after = [await log_likelihoods(unseen, each, settings.answering) for each in (model, edited)]
    gains = tuple(new - old for new, old in zip(after.scores, before.scores, strict=True))
    beginning = " ".join(unseen[0].split()[:_BEGINNING_WORDS])
    continued = (await _continue(model, beginning), await _continue(edited, beginning))
    return WriterTrial(user, unseen, learned, gains, beginning, continued, time.perf_counter() - start)


async def _continue(model: LanguageModel, beginning: str) -> str:
    from idiolect.methods.texts import PLAIN_REQUEST

    sampling = SamplingParams(_CONTINUATION_TOKENS, 0.0)
    (completion,) = await model.complete(
        [CompletionRequest((Message("user", PLAIN_REQUEST),), sampling, prefill=beginning)]
    )
    return completion.text


def print_writers_head(settings: ChameleonSettings, n: int) -> None:
    """Print what is about to be done."""
    out().print()
    writers = "1 bundled writer, and an edit" if n == 1 else f"{n} bundled writers, and edits"
    print_wrapped(f"{writers} of the embedded model (CHAMELEON)", style="bold")
    print_wrapped(f"preset {settings.preset}: one step of their own from the edit of a group of other writers")


def print_writer(trial: WriterTrial) -> None:
    """Print one writer, whatever came out."""
    out().print()
    print_wrapped(trial.user.id, style="bold")
    print_wrapped(f"learned from {N_LEARN} texts, compared on {len(trial.unseen)} others")
    print_edit(trial.learned, indent=2)
    better = sum(gain > 0 for gain in trial.gains)
    print_wrapped(
        f"\nlog-probability of the unseen texts against the base model: {trial.gain:+.3f} nat per token; "
        f"{better} of n = {len(trial.gains)} gained"
    )
    print_wrapped(f"on the model's own texts, which it should leave alone: {trial.fluency:+.3f} nat per token")
    print_wrapped(f"gate: {trial.learned.gate}")
    print_wrapped(f"\nThe beginning of an unseen text, and how it is continued: {one_line(trial.beginning)} …")
    for name, text in zip(("base", "edited"), trial.continued, strict=True):
        print_wrapped(f"{name}: … {one_line(text)}", indent=2)
    print_wrapped(f"\n{trial.seconds:.0f} s")


def writer_json(trial: WriterTrial) -> dict[str, Any]:
    """Return plain JSON values."""
    base, edited = trial.continued
    return {
        "id": trial.user.id,
        "n_learned": N_LEARN,
        "n_unseen": len(trial.unseen),
        "gain": trial.gain,
        "gains": list(trial.gains),
        "fluency": trial.fluency,
        "continuation": {"beginning": trial.beginning, "base": base, "edited": edited},
        "edit": edit_document(trial.learned),
        "seconds": round(trial.seconds, 1),
    }
