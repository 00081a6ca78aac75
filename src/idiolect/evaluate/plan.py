"""Which arms an evaluation has: from the methods that were named to what is learned and asked for each person.

EvaluationOptions → arms (methods, their controls, points of learning curves) → runner
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from idiolect.errors import SettingsError
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.methods.method import EvaluatedMethod
from idiolect.evaluate.methods.spec import MethodSpec, parse_spec
from idiolect.evaluate.methods.table import METHODS, MethodEntry
from idiolect.evaluate.records import Arm


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is to be compared.

    Args:
        methods: in the order of the tables.
        primary: pairs of methods, (a, b) for the difference a − b, that are named before the first answer; only they
            are adjusted for being several.
        baseline: gains are counted against this method; one of `methods`.
        controls: another person's personalization is asked as well, for each method that has one.
        sizes: points of a learning curve over opinions, each less than there are; empty: none.
        iterations: points of a learning curve over iterations; empty: none.
        curves: the methods that have learning curves; empty: all that can.
        seeds: of the methods' draws.
        transfer: other models: prompts are learned with and answered by each of them too.
        model: name of the run's own.

    Raises:
        SettingsError: no methods or seeds, a baseline or comparison of a method that isn't among them, or a method that
            there is not.
    """

    methods: tuple[MethodSpec, ...]
    baseline: MethodSpec
    primary: tuple[tuple[MethodSpec, MethodSpec], ...] = ()
    controls: bool = True
    sizes: tuple[int, ...] = ()
    iterations: tuple[int, ...] = ()
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
        for spec in (self.baseline, *(each for pair in self.primary for each in pair), *self.curves):
            if spec not in named:
                raise SettingsError(f"{spec} is not among the methods")
        for name, values in (("sizes", self.sizes), ("iterations", self.iterations)):
            if values and min(values) < 1:
                raise SettingsError(f"{name} holds {min(values)}, must be at least 1")
        if self.transfer and not any(entry_of(spec).transferred for spec in self.methods):
            raise SettingsError("prompts are transferred to another model, and no method learns prompts: name fermi")
        if self.model in self.transfer:
            raise SettingsError(f"prompts are transferred to {self.model!r}, which is the model of the run")
        if any(a == b for a, b in self.primary):
            raise SettingsError("a method is compared with itself")


@dataclass(frozen=True, slots=True)
class PlannedArm:
    """An arm with the method that fills it.

    Args:
        arm: a column of the tables.
        spec: the method as it is written.
        method: made of that.
        learns_with: another model than the run's.
    """

    arm: Arm
    spec: MethodSpec
    method: EvaluatedMethod
    learns_with: str | None = None

    def learning_key(self, bench: Bench) -> Hashable:
        """Return what decides on what is learned from a person: arms with the same key learn it once.

        Raises:
            SettingsError: the method's settings make no sense on this bench.
        """
        shared = entry_of(self.spec).learning_key
        own = str(self.spec) if shared is None else shared(self.spec.overrides, bench)
        return own, self.learns_with, self.arm.n_train


def entry_of(spec: MethodSpec) -> MethodEntry:
    """Return a method's line of the table.

    Raises:
        SettingsError: there is no such method.
    """
    if spec.name not in METHODS:
        raise SettingsError(f"there is no method {spec.name!r}: choose one of {', '.join(METHODS)}")
    return METHODS[spec.name]


def parse_primary(texts: Sequence[str]) -> tuple[tuple[MethodSpec, MethodSpec], ...]:
    """Return pairs of methods, each written as `a - b`.

    Raises:
        SettingsError: not of that form.
    """
    pairs = []
    for text in texts:
        parts = text.split(" - ")
        if len(parts) != 2:
            raise SettingsError(f"{text!r} is no comparison; it looks like 'fermi - few-shot'")
        pairs.append((parse_spec(parts[0]), parse_spec(parts[1])))
    named = tuple(dict.fromkeys(pairs))
    for a, b in named:
        if (b, a) in named and a != b:
            raise SettingsError(f"{a} and {b} are compared twice, both ways round")
    return named


def planned(options: EvaluationOptions) -> list[PlannedArm]:
    """Return all arms, in the order in which one person is worked on: arms that share learning stand together."""
    arms: dict[Arm, PlannedArm] = {}
    for spec in options.methods:
        for arm in (*_arms(spec, options), *_transferred(spec, options)):
            arms.setdefault(arm.arm, arm)
    return list(arms.values())


def _transferred(spec: MethodSpec, options: EvaluationOptions) -> Iterator[PlannedArm]:
    """Yield an arm for every pair of models, of which one learns prompts and the other answers under them.

    The arm of the run's model with itself is there already. Who answers is always named, so that
    nothing that another model answers is compared with the run's baseline.
    """
    make = entry_of(spec).transferred
    if make is None or not options.transfer:
        return
    models = (None, *options.transfer)  # None: the model of the run
    for learns_with, answered_by in product(models, models):
        if learns_with is None and answered_by is None:
            continue
        name = str(spec) if learns_with is None else spec.written(f"learned with {learns_with}")
        arm = Arm(name, answered_by=answered_by or options.model)
        yield PlannedArm(arm, spec, make(spec.overrides, learns_with, answered_by), learns_with)


def _arms(spec: MethodSpec, options: EvaluationOptions) -> Iterator[PlannedArm]:
    entry = entry_of(spec)
    method = entry.make(spec.overrides)
    yield PlannedArm(Arm(str(spec)), spec, method)
    if options.controls and entry.personal:
        yield PlannedArm(Arm(str(spec), "another's"), spec, method)
    if options.curves and spec not in options.curves:
        return
    if entry.personal:
        for size in options.sizes:
            yield PlannedArm(Arm(str(spec), n_train=size), spec, method)
    if entry.iterates:
        for count in options.iterations:
            other = spec.overriding("iterations", count)
            yield PlannedArm(Arm(str(other)), other, entry.make(other.overrides))
