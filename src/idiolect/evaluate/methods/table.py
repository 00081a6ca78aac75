"""The table of methods: a line each. Those that need torch are imported when they are made."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from idiolect.errors import SettingsError
from idiolect.evaluate.methods import fermi
from idiolect.evaluate.methods.augmenting import EnrichmentMethod, Retrieval
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.methods.counting import Majority, Uniform
from idiolect.evaluate.methods.lamp import LampRetrieval
from idiolect.evaluate.methods.method import EvaluatedMethod
from idiolect.evaluate.methods.prompting import Prompting, TunedFewShot
from idiolect.evaluate.methods.spec import Overrides
from idiolect.methods.setting_changes import changed_by_text

if TYPE_CHECKING:
    from idiolect.evaluate.methods.chameleon import Pooled
    from idiolect.methods.chameleon.settings import RuleName

M = TypeVar("M")

_WEIGHTS, _TRAINING = frozenset({"weights"}), frozenset({"weights", "dpo"})


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """One method that can be named.

    Args:
        help: one sentence.
        make: the method with the changes that stand in brackets behind its name.
        learning_key: takes these changes and a bench, and gives what decides on what is learned: methods with the same
            key learn the same from a person, and do it once. Raises SettingsError where the settings make no sense on
            this bench. None: the method shares with nobody, and making it is all the check that its settings need.
        transferred: takes the changes, a model that learns and one that answers (None: the model of the run); only of
            methods that learn prompts, which another model can be asked under.
        personal: it depends on whom it learned from: then another person's is its control, and it has a learning curve
            over opinions.
        needs: "weights": open weights; "dpo": the extra of that name.
        iterates: it learns prompts in iterations: it has a learning curve over those.
    """

    help: str
    make: Callable[[Overrides], EvaluatedMethod]
    learning_key: Callable[[Overrides, Bench], Hashable] | None = None
    transferred: Callable[[Overrides, str | None, str | None], EvaluatedMethod] | None = None
    personal: bool = True
    needs: frozenset[str] = frozenset()
    iterates: bool = False


class _KeyedMethod(EvaluatedMethod, Protocol):
    def learning_key(self, bench: Bench) -> Hashable: ...


def _with_settings(method: M) -> Callable[[Overrides], M]:
    """Return a maker of methods like this one; brackets change its fields."""
    return lambda overrides: changed_by_text(method, overrides)


def _keyed(
    help_: str,
    make: Callable[[Overrides], _KeyedMethod],
    *,
    personal: bool = True,
    needs: frozenset[str] = frozenset(),
) -> MethodEntry:
    """Return the entry of a method with a learning key of its own."""

    def key(overrides: Overrides, bench: Bench) -> Hashable:
        return make(overrides).learning_key(bench)

    return MethodEntry(help_, make, key, personal=personal, needs=needs)


def _fermi(help_: str, change: fermi.Change, *, reads_failures: bool = False) -> MethodEntry:
    def make(overrides: Overrides) -> fermi.FermiMethod:
        return fermi.FermiMethod(change, overrides, reads_failures)

    def transferred(overrides: Overrides, learns_with: str | None, answered_by: str | None) -> fermi.TransferredPrompts:
        return fermi.TransferredPrompts(make(overrides), learns_with, answered_by)

    return replace(_keyed(help_, make), iterates=True, transferred=transferred)


def _chameleon(
    help_: str,
    rule: RuleName | Literal[""] = "",
    *,
    pooled: Pooled = "",
    random: bool = False,
) -> MethodEntry:
    def make(overrides: Overrides) -> _KeyedMethod:
        from idiolect.evaluate.methods.chameleon import ChameleonMethod

        return ChameleonMethod(rule, pooled, random, overrides)

    return _keyed(help_, make, personal=not (pooled or random), needs=_WEIGHTS)


def _dpo(help_: str, rule: RuleName | Literal[""]) -> MethodEntry:
    def make(overrides: Overrides) -> _KeyedMethod:
        from idiolect.evaluate.methods.chameleon import ChameleonMethod
        from idiolect.evaluate.methods.trained import DpoMethod

        return DpoMethod(ChameleonMethod(rule), overrides)

    return _keyed(help_, make, needs=_TRAINING)


def _insights(overrides: Overrides) -> _KeyedMethod:
    from idiolect.evaluate.methods.chameleon import InsightsMethod

    return changed_by_text(InsightsMethod(), overrides)


def _combined(overrides: Overrides) -> _KeyedMethod:
    from idiolect.evaluate.methods.chameleon import ChameleonMethod, Combined

    if overrides:
        raise SettingsError("fermi+chameleon takes no settings in brackets: it is made of fermi and chameleon")
    return Combined(fermi.FermiMethod(fermi.as_it_is), ChameleonMethod())


METHODS: dict[str, MethodEntry] = {
    "uniform": MethodEntry("any choice, all alike", _with_settings(Uniform()), personal=False),
    "constant": MethodEntry(
        "others' most frequent answer to such choices", _with_settings(Majority("constant")), personal=False
    ),
    "majority-own": MethodEntry("the person's most frequent answer to such choices", _with_settings(Majority("own"))),
    "majority-population": MethodEntry(
        "others' most frequent answer to the question", _with_settings(Majority("population")), personal=False
    ),
    "majority-group": MethodEntry("the same of the person's group", _with_settings(Majority("group")), personal=False),
    "vanilla": MethodEntry("the model as it is", _with_settings(Prompting("vanilla")), personal=False),
    "profile": MethodEntry("the profile in front", _with_settings(Prompting("profile"))),
    "few-shot": MethodEntry(
        "the 16 opinions nearest by embeddings, nearest last; of texts, the first 5",
        _with_settings(Prompting("few-shot")),
    ),
    "few-shot-bm25": MethodEntry("the same, nearest by BM25", _with_settings(Prompting("few-shot", nearness="bm25"))),
    "few-shot-tuned": MethodEntry(
        "few-shot, tuned by leave-one-out for the calls of a learning method", _with_settings(TunedFewShot())
    ),
    "all-info": MethodEntry("the profile and all opinions and texts", _with_settings(Prompting("all-info"))),
    "rag": MethodEntry("the 4 nearest items in LaMP's patterns", _with_settings(Retrieval())),
    "lamp-rag": _keyed("LaMP's own prompts with the 4 nearest items, for its tasks", _with_settings(LampRetrieval())),
    "enrichment": MethodEntry("LLM-Rec: the model writes about person and question first", EnrichmentMethod.of),
    "insights": _keyed("CHAMELEON's insight in the prompt, no edit", _insights),
    "opro": _fermi("the LLM sees prompts and scores; the best prompt answers", fermi.opro),
    "fermi": _fermi("Fermi as the preset has it", fermi.as_it_is),
    "fermi-llm": _fermi("Fermi with the LLM proposer alone", fermi.only_llm),
    "fermi-demonstrations": _fermi("Fermi with the demonstration proposer alone", fermi.only_demonstrations),
    "fermi-no-failures": _fermi("Fermi without mis-aligned context", fermi.without_failures),
    "fermi-symmetric": _fermi(
        "Fermi whose listed prompts all show their failures", fermi.symmetric, reads_failures=True
    ),
    "fermi-no-retrieval": _fermi("Fermi whose best prompt answers all", fermi.without_retrieval),
    "chameleon": _chameleon("CHAMELEON as the preset has it, with its gate"),
    "chameleon-paper": _chameleon("the paper's pairs, rule and strengths", "literal"),
    "chameleon-contrastive": _chameleon("θ_P from the pairs' differences", "contrastive"),
    "chameleon-p-only": _chameleon("the paper's first step alone", "p_only"),
    "chameleon-n-only": _chameleon("the paper's second step alone", "n_only"),
    "chameleon-random": _chameleon("random directions as large as chameleon's", random=True),
    "chameleon-paper-random": _chameleon("random directions in the paper's rule", "literal", random=True),
    "chameleon-group": _chameleon("one edit of the person's group, the person among them", pooled="group"),
    "chameleon-unseen": _chameleon("one edit of other people, never of this person", pooled="unseen"),
    "fermi+chameleon": _keyed("the edited model under Fermi's prompts", _combined, needs=_WEIGHTS),
    "dpo": _dpo("DPO on chameleon-paper's pairs, for as many seconds", "literal"),
    "dpo-own": _dpo("DPO on chameleon's pairs, for as many seconds", ""),
}
