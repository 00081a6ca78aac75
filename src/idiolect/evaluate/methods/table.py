"""The table of methods: a line each. Those that need torch are imported when they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from idiolect.errors import SettingsError
from idiolect.evaluate.methods import fermi
from idiolect.evaluate.methods.augmenting import EnrichmentMethod, Retrieval
from idiolect.evaluate.methods.counting import Majority, Uniform
from idiolect.evaluate.methods.entry import MethodEntry
from idiolect.evaluate.methods.lamp import LampRetrieval
from idiolect.evaluate.methods.method import Method
from idiolect.evaluate.methods.prompting import Prompting, TunedFewShot
from idiolect.evaluate.methods.spec import Overrides
from idiolect.methods.setting_changes import changed_by_text

_WEIGHTS, _TRAINING = frozenset({"weights"}), frozenset({"weights", "dpo"})


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Makes a method out of itself: its own fields are what brackets change."""

    method: Method

    def __call__(self, overrides: Overrides) -> Method:
        return changed_by_text(self.method, overrides)


def _fermi(change: fermi.Change, *, reads_failures: bool = False) -> Callable[[Overrides], Method]:
    return lambda overrides: fermi.FermiMethod(change, overrides, reads_failures)


def _chameleon(rule: str = "", pooled: str = "", *, random: bool = False) -> Callable[[Overrides], Method]:
    def make(overrides: Overrides) -> Method:
        from idiolect.evaluate.methods.chameleon import ChameleonMethod

        return ChameleonMethod(rule, pooled, random, overrides)  # type: ignore[arg-type]

    return make


def _insights(overrides: Overrides) -> Method:
    from idiolect.evaluate.methods.insights import InsightsMethod

    return changed_by_text(InsightsMethod(), overrides)


def _dpo(rule: str) -> Callable[[Overrides], Method]:
    def make(overrides: Overrides) -> Method:
        from idiolect.evaluate.methods.chameleon import ChameleonMethod
        from idiolect.evaluate.methods.trained import DpoMethod

        return DpoMethod(ChameleonMethod(rule), overrides)  # type: ignore[arg-type]

    return make


def _combined(overrides: Overrides) -> Method:
    from idiolect.evaluate.methods.chameleon import ChameleonMethod
    from idiolect.evaluate.methods.combined import Combined

    if overrides:
        raise SettingsError("fermi+chameleon takes no settings in brackets: it is made of fermi and chameleon")
    return Combined(fermi.FermiMethod(fermi.as_it_is), ChameleonMethod())


def _entry(
    help_: str,
    make: Callable[[Overrides], Method],
    *,
    personal: bool = True,
    needs: frozenset[str] = frozenset(),
    iterates: bool = False,
) -> MethodEntry:
    return MethodEntry(help_, make, personal=personal, needs=needs, iterates=iterates, transfers=iterates)


METHODS: dict[str, MethodEntry] = {
    "uniform": _entry("any choice, all alike", _Fixed(Uniform()), personal=False),
    "constant": _entry("others' most frequent answer to such choices", _Fixed(Majority("constant")), personal=False),
    "majority-own": _entry("the person's most frequent answer to such choices", _Fixed(Majority("own"))),
    "majority-population": _entry(
        "others' most frequent answer to the question", _Fixed(Majority("population")), personal=False
    ),
    "majority-group": _entry("the same of the person's group", _Fixed(Majority("group")), personal=False),
    "vanilla": _entry("the model as it is", _Fixed(Prompting("vanilla")), personal=False),
    "profile": _entry("the profile in front", _Fixed(Prompting("profile"))),
    "few-shot": _entry(
        "the 16 opinions nearest by embeddings, nearest last; of texts, the first 5", _Fixed(Prompting("few-shot"))
    ),
    "few-shot-bm25": _entry("the same, nearest by BM25", _Fixed(Prompting("few-shot", nearness="bm25"))),
    "few-shot-tuned": _entry(
        "few-shot, tuned by leave-one-out for the calls of a learning method", _Fixed(TunedFewShot())
    ),
    "all-info": _entry("the profile and all opinions and texts", _Fixed(Prompting("all-info"))),
    "rag": _entry("the 4 nearest items in LaMP's patterns", _Fixed(Retrieval())),
    "lamp-rag": _entry("LaMP's own prompts with the 4 nearest items, for its tasks", _Fixed(LampRetrieval())),
    "enrichment": _entry("LLM-Rec: the model writes about person and question first", EnrichmentMethod.of),
    "insights": _entry("CHAMELEON's insight in the prompt, no edit", _insights),
    "opro": _entry("the LLM sees prompts and scores; the best prompt answers", _fermi(fermi.opro), iterates=True),
    "fermi": _entry("Fermi as the preset has it", _fermi(fermi.as_it_is), iterates=True),
    "fermi-llm": _entry("Fermi with the LLM proposer alone", _fermi(fermi.only_llm), iterates=True),
    "fermi-demonstrations": _entry(
        "Fermi with the demonstration proposer alone", _fermi(fermi.only_demonstrations), iterates=True
    ),
    "fermi-no-failures": _entry("Fermi without mis-aligned context", _fermi(fermi.without_failures), iterates=True),
    "fermi-symmetric": _entry(
        "Fermi whose listed prompts all show their failures",
        _fermi(fermi.symmetric, reads_failures=True),
        iterates=True,
    ),
    "fermi-no-retrieval": _entry("Fermi whose best prompt answers all", _fermi(fermi.without_retrieval), iterates=True),
    "chameleon": _entry("CHAMELEON as the preset has it, with its gate", _chameleon(), needs=_WEIGHTS),
    "chameleon-paper": _entry("the paper's pairs, rule and strengths", _chameleon("literal"), needs=_WEIGHTS),
    "chameleon-contrastive": _entry("θ_P from the pairs' differences", _chameleon("contrastive"), needs=_WEIGHTS),
    "chameleon-p-only": _entry("the paper's first step alone", _chameleon("p_only"), needs=_WEIGHTS),
    "chameleon-n-only": _entry("the paper's second step alone", _chameleon("n_only"), needs=_WEIGHTS),
    "chameleon-random": _entry(
        "random directions as large as chameleon's", _chameleon(random=True), personal=False, needs=_WEIGHTS
    ),
    "chameleon-paper-random": _entry(
        "random directions in the paper's rule", _chameleon("literal", random=True), personal=False, needs=_WEIGHTS
    ),
    "chameleon-group": _entry(
        "one edit of the person's group, the person among them",
        _chameleon(pooled="group"),
        personal=False,
        needs=_WEIGHTS,
    ),
    "chameleon-unseen": _entry(
        "one edit of other people, never of this person", _chameleon(pooled="unseen"), personal=False, needs=_WEIGHTS
    ),
    "fermi+chameleon": _entry("the edited model under Fermi's prompts", _combined, needs=_WEIGHTS),
    "dpo": _entry("DPO on chameleon-paper's pairs, for as many seconds", _dpo("literal"), needs=_TRAINING),
    "dpo-own": _entry("DPO on chameleon's pairs, for as many seconds", _dpo(""), needs=_TRAINING),
}
