"""The plan of an evaluation: the arms that the named methods give.

EvaluationOptions → arms (methods, their controls, points of curves) → runner
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from idiolect.errors import SettingsError
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.methods.method import EvaluatedMethod
from idiolect.evaluate.methods.spec import MethodSpec, parse_spec
from idiolect.evaluate.methods.table import METHODS, MethodEntry
from idiolect.evaluate.model_names import without_path
from idiolect.evaluate.prompt_limits import limit_remark
from idiolect.evaluate.records import CONTROLS_BY_KIND, Arm, Control

_CONTROL = re.compile(r"(?P<spec>.*?)\s*[·:]\s*(?P<control>another.*?)\s*")
_KNOWN_CONTROLS: tuple[Control, ...] = ("another's", *CONTROLS_BY_KIND)


@dataclass(frozen=True, slots=True)
class ComparedArm:
    """A side of a primary comparison: a method, with what it learned from the person or from somebody else."""

    spec: MethodSpec
    control: Control = "own"

    @property
    def arm(self) -> Arm:
        """The arm that is compared."""
        return Arm(str(self.spec), self.control)

    def __str__(self) -> str:
        return str(self.arm)


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """The methods to compare, and how.

    Args:
        methods: methods, in the order of the tables.
        primary: pairs of methods or of their controls, (a, b) for the difference a − b, which are named before the
            first answer; only these are corrected for multiple testing.
        baseline: baseline for gains; one of `methods`.
        controls: also answer with another person's personalization, for each method that has one.
        controls_by_kind: the controls are two: somebody of the same kind, and somebody of another kind.
        sizes: points of a learning curve over opinions, each less than the number of opinions; empty: none.
        iterations: points of a learning curve over iterations; empty: none.
        prompt_tokens: limits on the prompts that answer, points of a curve over prompt tokens; empty: none.
        curves: methods with curves; empty: all that support them.
        seeds: seeds of the methods' draws.
        transfer: names of other models, with which prompts are also learned and answered.
        model: name of the run's own model.

    Raises:
        SettingsError: there are no methods or seeds, the baseline or a comparison is not among the methods, or a method
            is unknown.
    """

    methods: tuple[MethodSpec, ...]
    baseline: MethodSpec
    primary: tuple[tuple[ComparedArm, ComparedArm], ...] = ()
    controls: bool = True
    controls_by_kind: bool = False
    sizes: tuple[int, ...] = ()
    iterations: tuple[int, ...] = ()
    prompt_tokens: tuple[int, ...] = ()
    curves: tuple[MethodSpec, ...] = ()
    seeds: tuple[int, ...] = (0,)
    transfer: tuple[str, ...] = ()
    model: str = "the model of the run"

    def __post_init__(self) -> None:
        if not self.methods or not self.seeds:
            raise SettingsError("an evaluation needs a method and a seed")
        for spec in self.methods:
            entry_of(spec)
        named = {*self.methods}
        for spec in (self.baseline, *(each.spec for pair in self.primary for each in pair), *self.curves):
            if spec not in named:
                raise SettingsError(f"{spec} is not among the methods")
        self._check_primary()
        for name, values in (("curve_opinions", self.sizes), ("curve_iterations", self.iterations)):
            if values and min(values) < 1:
                raise SettingsError(f"{name} contains {min(values)}, must be at least 1")
        self._check_prompt_tokens()
        if self.transfer and not any(entry_of(spec).transferred for spec in self.methods):
            raise SettingsError("transfer needs a method that learns prompts: add fermi to the methods")
        if self.model in self.transfer:
            raise SettingsError(f"prompts cannot be transferred to {self.model!r}, which is the model of the run")
        _check_names((self.model, *self.transfer))

    def _check_primary(self) -> None:
        if any(a == b for a, b in self.primary):
            raise SettingsError("a method is compared with itself")
        for each in (each for pair in self.primary for each in pair):
            if each.control != "own" and each.control not in self.controls_of(each.spec):
                raise SettingsError(f"the evaluation has no arm {str(each)!r}: {self._why_no(each)}")

    def controls_of(self, spec: MethodSpec) -> tuple[Control, ...]:
        """Return the controls of a method; () if nothing that it learns depends on the person."""
        if not self.controls or not entry_of(spec).personal:
            return ()
        return CONTROLS_BY_KIND if self.controls_by_kind else ("another's",)

    def _why_no(self, compared: ComparedArm) -> str:
        if found := self.controls_of(compared.spec):
            way = "leave controls_by_kind out" if self.controls_by_kind else "set controls_by_kind"
            return f"its controls are {' and '.join(found)}; {way}, or compare with one of these"
        return "the controls are left out" if not self.controls else "the method depends on nobody, and has no control"

    def _check_prompt_tokens(self) -> None:
        limits, name = self.prompt_tokens, "curve_prompt_tokens"
        if not limits:
            return
        if min(limits) < 1:
            raise SettingsError(f"{name} contains {min(limits)}, must be at least 1")
        if twice := next((each for each in limits if limits.count(each) > 1), None):
            raise SettingsError(f"{name} contains {twice} twice: name each limit once")
        for spec in self.curves:
            entry = entry_of(spec)
            has_other = (self.sizes and entry.personal) or (self.iterations and entry.iterates)
            if entry.limited is None and not has_other:
                raise SettingsError(
                    f"{name} needs methods whose prompts show examples up to a limit, and {spec} is none: take it out "
                    f"of curve_methods, or name one of {_limited_names()}"
                )
        if not any(entry_of(spec).limited for spec in self.curves or self.methods):
            raise SettingsError(
                f"{name} needs a method whose prompts show examples up to a limit: add one of {_limited_names()}"
            )


def _limited_names() -> str:
    return ", ".join(name for name, entry in METHODS.items() if entry.limited is not None)


def _check_names(models: Sequence[str]) -> None:
    names = [without_path(name) for name in dict.fromkeys(models)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"two models are named {twice[0]!r}, so results could not tell them apart: rename one")


@dataclass(frozen=True, slots=True)
class PlannedArm:
    """An arm with its method.

    Args:
        arm: a row of the tables.
        spec: the method as written by the user.
        method: the method itself.
        learns_with: name of the model to learn with; None: the run's model.
    """

    arm: Arm
    spec: MethodSpec
    method: EvaluatedMethod
    learns_with: str | None = None

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of what is learned from a person: arms with the same key learn once.

        Raises:
            SettingsError: the method's settings are invalid on this bench.
        """
        shared = entry_of(self.spec).learning_key
        own = str(self.spec) if shared is None else shared(self.spec.overrides, bench)
        return own, self.learns_with, self.arm.n_train


def entry_of(spec: MethodSpec) -> MethodEntry:
    """Return a method's entry in the table.

    Raises:
        SettingsError: there is no such method.
    """
    if spec.name not in METHODS:
        raise SettingsError(f"unknown method {spec.name!r}: choose one of {', '.join(METHODS)}")
    return METHODS[spec.name]


def parse_primary(texts: Sequence[str]) -> tuple[tuple[ComparedArm, ComparedArm], ...]:
    """Return pairs of arms, each written as `a - b`.

    A side is a method, or a method and its control as the tables name it: `chameleon · another's of the same kind`. A
    colon may take the place of the dot.

    Raises:
        SettingsError: a text does not have this form, or a pair occurs in both directions.
    """
    pairs = []
    for text in texts:
        parts = text.split(" - ")
        if len(parts) != 2:
            raise SettingsError(f"expected a comparison such as 'fermi - few-shot', found {text!r}")
        pairs.append((_compared(parts[0]), _compared(parts[1])))
    named = tuple(dict.fromkeys(pairs))
    for a, b in named:
        if (b, a) in named and a != b:
            raise SettingsError(f"{a} and {b} are compared twice, in both directions")
    return named


def _compared(text: str) -> ComparedArm:
    found = _CONTROL.fullmatch(text)
    if found is None:
        return ComparedArm(parse_spec(text))
    name = " ".join(found["control"].replace("’", "'").split())
    control = next((each for each in _KNOWN_CONTROLS if each == name), None)
    if control is None:
        raise SettingsError(f"unknown control {name!r}: choose one of {', '.join(_KNOWN_CONTROLS)}")
    return ComparedArm(parse_spec(found["spec"]), control)


def planned(options: EvaluationOptions) -> list[PlannedArm]:
    """Return all arms in the order of the work on one person; arms that share what they learn are adjacent."""
    arms: dict[Arm, PlannedArm] = {}
    for spec in options.methods:
        for arm in (*_arms(spec, options), *_transferred(spec, options)):
            arms.setdefault(arm.arm, arm)
    return list(arms.values())


def _transferred(spec: MethodSpec, options: EvaluationOptions) -> Iterator[PlannedArm]:
    """Yield an arm for every pair of a model that learns prompts and a model that answers with them.

    The arm in which the run's model does both exists already. The answering model is always named in the arm, so that
    another model's answers are not compared with the run's baseline.
    """
    make = entry_of(spec).transferred
    if make is None or not options.transfer:
        return
    models = (None, *options.transfer)  # None: the model of the run
    for learns_with, answered_by in product(models, models):
        if learns_with is None and answered_by is None:
            continue
        name = str(spec) if learns_with is None else spec.written(f"learned with {without_path(learns_with)}")
        arm = Arm(name, answered_by=without_path(answered_by or options.model))
        yield PlannedArm(arm, spec, make(spec.overrides, learns_with, answered_by), learns_with)


def _arms(spec: MethodSpec, options: EvaluationOptions) -> Iterator[PlannedArm]:
    entry = entry_of(spec)
    method = entry.make(spec.overrides)
    yield PlannedArm(Arm(str(spec)), spec, method)
    for control in options.controls_of(spec):
        yield PlannedArm(Arm(str(spec), control), spec, method)
    if options.curves and spec not in options.curves:
        return
    if entry.limited is not None:
        for limit in options.prompt_tokens:  # the same spec as without the limit, so that they learn once
            yield PlannedArm(Arm(spec.written(limit_remark(limit))), spec, entry.limited(spec.overrides, limit))
    if entry.personal:
        for size in options.sizes:
            yield PlannedArm(Arm(str(spec), n_train=size), spec, method)
    if entry.iterates:
        for count in options.iterations:
            other = spec.overriding("iterations", count)
            yield PlannedArm(Arm(str(other)), other, entry.make(other.overrides))
