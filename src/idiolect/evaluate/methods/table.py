"""The table of methods, one entry each. Methods that need torch are imported when they are created."""

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
    from idiolect.evaluate.methods.pair_sources import PairSource
    from idiolect.methods.chameleon.settings import RuleName

M = TypeVar("M")

Kind = Literal["no model", "prompted", "learned"]
"""What a method needs: no model (answers are counted or drawn), a model that is asked with the person's data, or also
something that is learned before the model is asked (prompts, edits, weights or settings; random directions count)."""

_OF_FEW_SHOT = frozenset({"k", "nearness", "texts", "max_prompt_tokens"})
_WEIGHTS, _TRAINING = frozenset({"weights"}), frozenset({"weights", "dpo"})


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """A method that can be named.

    Args:
        help: description in a few words.
        make: creates the method with the changes in brackets after its name.
        learning_key: returns a key of what is learned, given the changes and a bench: methods with the same key learn
            the same from a person, and do so once. It raises SettingsError if the settings are invalid on this bench.
            None: the method shares nothing, and creating it checks its settings.
        transferred: creates the method for two models, given the changes, the model that learns and the model that
            answers (None: the model of the run); only for methods that learn prompts.
        personal: whether the result depends on the person who was learned from. If so, another person's result is the
            control, and there is a learning curve over opinions.
        needs: "weights": open weights; "dpo": the extra of that name.
        limited: creates the method with a limit on the prompts that it answers with, given the changes and the limit in
            tokens, but not on what it learns with, so that it shares its `learning_key` with the method without the
            limit; only for methods whose prompts show examples. If so, there is a curve over prompt tokens.
        iterates: whether it learns prompts in iterations. If so, there is a learning curve over iterations.
        kind: what it needs, for the report's legend.
    """

    help: str
    make: Callable[[Overrides], EvaluatedMethod]
    learning_key: Callable[[Overrides, Bench], Hashable] | None = None
    transferred: Callable[[Overrides, str | None, str | None], EvaluatedMethod] | None = None
    personal: bool = True
    needs: frozenset[str] = frozenset()
    limited: Callable[[Overrides, int], EvaluatedMethod] | None = None
    iterates: bool = False
    kind: Kind = "prompted"


class _KeyedMethod(EvaluatedMethod, Protocol):
    def learning_key(self, bench: Bench) -> Hashable: ...


def _with_settings(method: M) -> Callable[[Overrides], M]:
    """Return a function that creates the method with the fields changed by brackets."""
    return lambda overrides: changed_by_text(method, overrides)


def _keyed(
    help_: str,
    make: Callable[[Overrides], _KeyedMethod],
    *,
    personal: bool = True,
    needs: frozenset[str] = frozenset(),
    kind: Kind = "prompted",
) -> MethodEntry:
    """Return the entry of a method that has a learning key."""

    def key(overrides: Overrides, bench: Bench) -> Hashable:
        return make(overrides).learning_key(bench)

    return MethodEntry(help_, make, key, personal=personal, needs=needs, kind=kind)


def _examples(help_: str, method: Prompting) -> MethodEntry:
    """Return the entry of a method that shows examples."""
    make = _with_settings(method)

    def limited(overrides: Overrides, limit: int) -> Prompting:
        return replace(make(overrides), max_prompt_tokens=limit)

    return MethodEntry(help_, make, limited=limited)


def _fermi(
    help_: str, change: fermi.Change, *, reads_failures: bool = False, takes: str = "", shows_examples: bool = True
) -> MethodEntry:
    def make(overrides: Overrides) -> fermi.FermiMethod:
        return fermi.FermiMethod(change, overrides, reads_failures, takes)

    def transferred(overrides: Overrides, learns_with: str | None, answered_by: str | None) -> fermi.TransferredPrompts:
        return fermi.TransferredPrompts(make(overrides), learns_with, answered_by)

    def limited(overrides: Overrides, limit: int) -> fermi.FermiMethod:
        return replace(make(overrides), answer_limit=limit)

    entry = replace(_keyed(help_, make, kind="learned"), iterates=True, transferred=transferred)
    return replace(entry, limited=limited) if shows_examples else entry


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

    return _keyed(help_, make, personal=not (pooled or random), needs=_WEIGHTS, kind="learned")


def _with_few_shot(name: str, edit: MethodEntry) -> MethodEntry:
    """Return the entry of an edit under the prompt of `few-shot`, whose settings in brackets are those of either."""
    few_shot = Prompting("few-shot")

    def make(overrides: Overrides) -> _KeyedMethod:
        from idiolect.evaluate.methods.chameleon import ChameleonMethod, UnderExamples

        of_prompt = tuple(each for each in overrides if each[0] in _OF_FEW_SHOT)
        edited = edit.make(tuple(each for each in overrides if each not in of_prompt))
        assert isinstance(edited, ChameleonMethod)
        return UnderExamples(edited, changed_by_text(few_shot, of_prompt))

    return _keyed(f"few-shot with the model that {name} edits", make, needs=_WEIGHTS, kind="learned")


def _dpo(help_: str, *, own: bool) -> MethodEntry:
    def make(overrides: Overrides) -> _KeyedMethod:
        from idiolect.evaluate.methods.chameleon import ChameleonMethod
        from idiolect.evaluate.methods.trained import DpoMethod

        return DpoMethod(ChameleonMethod("" if own else "literal"), _pairs(own=own), overrides)

    return _keyed(help_, make, needs=_TRAINING, kind="learned")


def _long_dpo(help_: str, *, own: bool) -> MethodEntry:
    def make(overrides: Overrides) -> _KeyedMethod:
        from idiolect.evaluate.methods.trained import LongDpoMethod

        return LongDpoMethod(_pairs(own=own), overrides)

    return _keyed(help_, make, needs=_TRAINING, kind="learned")


def _pairs(*, own: bool) -> PairSource:
    from idiolect.evaluate.methods.chameleon import ChameleonMethod
    from idiolect.evaluate.methods.pair_sources import OwnWords

    return OwnWords() if own else ChameleonMethod("literal")


def _sft(overrides: Overrides) -> _KeyedMethod:
    from idiolect.evaluate.methods.trained import SftMethod

    return SftMethod(overrides)


def _style_vector(overrides: Overrides) -> _KeyedMethod:
    from idiolect.evaluate.methods.style_vector import StyleVectorMethod

    return StyleVectorMethod(overrides)


def _start(overrides: Overrides) -> _KeyedMethod:
    from idiolect.evaluate.methods.chameleon import StartMethod

    return changed_by_text(StartMethod(), overrides)


def _insights(overrides: Overrides) -> _KeyedMethod:
    from idiolect.evaluate.methods.chameleon import InsightsMethod

    return changed_by_text(InsightsMethod(), overrides)


def _combined(overrides: Overrides) -> _KeyedMethod:
    from idiolect.evaluate.methods.chameleon import ChameleonMethod, Combined

    if overrides:
        raise SettingsError("fermi+chameleon takes no settings in brackets: it combines fermi and chameleon")
    return Combined(fermi.FermiMethod(fermi.as_it_is), ChameleonMethod())


_EDITS: dict[str, MethodEntry] = {
    "chameleon": _chameleon("CHAMELEON with the preset's settings and its gate"),
    "chameleon-paper": _chameleon("CHAMELEON with the paper's pairs, rule and strengths", "literal"),
    "chameleon-contrastive": _chameleon("chameleon-paper with θ_P from the pairs' differences", "contrastive"),
    "chameleon-p-only": _chameleon("chameleon-paper with only the first step", "p_only"),
    "chameleon-n-only": _chameleon("chameleon-paper with only the second step", "n_only"),
    "chameleon-random": _chameleon("random directions, as large as chameleon's", random=True),
    "chameleon-paper-random": _chameleon("random directions with the paper's rule", "literal", random=True),
    "chameleon-group": _chameleon("one edit from the person's group, including the person", pooled="group"),
    "chameleon-unseen": _chameleon("one edit from other people, without this person", pooled="unseen"),
}

METHODS: dict[str, MethodEntry] = {
    "uniform": MethodEntry("a random choice", _with_settings(Uniform()), personal=False, kind="no model"),
    "constant": MethodEntry(
        "others' most frequent answer to questions with the same choices",
        _with_settings(Majority("constant")),
        personal=False,
        kind="no model",
    ),
    "majority-own": MethodEntry(
        "the person's most frequent answer to questions with the same choices",
        _with_settings(Majority("own")),
        kind="no model",
    ),
    "majority-population": MethodEntry(
        "others' most frequent answer to the question",
        _with_settings(Majority("population")),
        personal=False,
        kind="no model",
    ),
    "majority-group": MethodEntry(
        "others' most frequent answer to the question, in the person's group",
        _with_settings(Majority("group")),
        personal=False,
        kind="no model",
    ),
    "vanilla": MethodEntry("the model without personalization", _with_settings(Prompting("vanilla")), personal=False),
    "profile": MethodEntry("the profile in the prompt", _with_settings(Prompting("profile"))),
    "few-shot": _examples(
        "the 16 opinions nearest by embeddings, nearest last, and the first 5 texts", Prompting("few-shot")
    ),
    "few-shot-bm25": _examples("few-shot, nearest by BM25", Prompting("few-shot", nearness="bm25")),
    "few-shot-tuned": MethodEntry(
        "few-shot, tuned by leave-one-out with the calls of a learning method",
        _with_settings(TunedFewShot()),
        kind="learned",
    ),
    "all-info": _examples("the profile, all opinions and all texts", Prompting("all-info")),
    "rag": MethodEntry("the 4 nearest items, in LaMP's patterns", _with_settings(Retrieval())),
    "lamp-rag": _keyed("LaMP's own prompts with the 4 nearest items, for its tasks", _with_settings(LampRetrieval())),
    "enrichment": MethodEntry("LLM-Rec: the model first writes about the person and the question", EnrichmentMethod.of),
    "insights": _keyed("CHAMELEON's insight in the prompt, no edit", _insights),
    "opro": _fermi(
        "OPRO: the LLM sees only prompts and scores; the best prompt answers", fermi.opro, shows_examples=False
    ),
    "fermi": _fermi("Fermi with the preset's settings", fermi.as_it_is),
    "fermi-llm": _fermi("Fermi with only the LLM proposer", fermi.only_llm),
    "fermi-demonstrations": _fermi("Fermi with only the demonstration proposer", fermi.only_demonstrations),
    "fermi-no-failures": _fermi("Fermi without mis-aligned context", fermi.without_failures),
    "fermi-symmetric": _fermi("Fermi with the failures of every listed prompt", fermi.symmetric, reads_failures=True),
    "fermi-no-retrieval": _fermi("Fermi with the best prompt for every question", fermi.without_retrieval),
    "fermi-no-crossing": _fermi("Fermi without crossed scores", fermi.without_crossing, takes="folds"),
    "fermi-no-examples": _fermi("Fermi without nearest examples", fermi.without_examples, takes="examples"),
    "fermi-one-prompt": _fermi("Fermi with one prompt for each answer", fermi.one_prompt, takes="further prompts"),
    "fermi-no-own-answers": _fermi("Fermi without own answers", fermi.without_own_answers, takes="own answers"),
    "fermi-no-calibration": _fermi("Fermi without calibration", fermi.without_calibration, takes="calibration"),
    "fermi-no-median": _fermi("Fermi with the likeliest choice", fermi.without_median, takes="medians"),
    "fermi-no-kinds": _fermi("Fermi with one kind of text", fermi.without_kinds, takes="kinds of texts"),
    "fermi-no-dispositions": _fermi("Fermi without dispositions", fermi.without_dispositions, takes="dispositions"),
    **_EDITS,
    **{f"few-shot+{name}": _with_few_shot(name, edit) for name, edit in _EDITS.items()},
    "chameleon-start": _keyed(
        "the group's edit at which chameleon's steps begin, alone", _start, personal=False, needs=_WEIGHTS
    ),
    "style-vector": _keyed(
        "StyleVector: what sets the person's texts apart from plain ones is added",
        _style_vector,
        needs=_WEIGHTS,
        kind="learned",
    ),
    "fermi+chameleon": _keyed("the edited model with Fermi's prompts", _combined, needs=_WEIGHTS, kind="learned"),
    "dpo": _dpo("DPO on chameleon-paper's pairs, for the same time", own=False),
    "dpo-own": _dpo("DPO on all of the person's own words, for chameleon's time", own=True),
    "dpo-long": _long_dpo("dpo with a number of steps chosen on others", own=False),
    "dpo-own-long": _long_dpo("dpo-own with a number of steps chosen on others", own=True),
    "sft": _keyed("a LoRA fine-tuned on the person's texts and answers", _sft, needs=_TRAINING, kind="learned"),
}
