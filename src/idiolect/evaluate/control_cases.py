"""The people whose personalizations are the controls.

    Benchmark, control → ControlCases.of(case) → the case that is learned from instead

"own" is the person. "another's" is the next person. Controls by kind are somebody of the person's own kind (the case's
group), and somebody of another kind. In the order of the cases, each person gets the one who has been the control least
often so far; of these, the next one after the person. So everybody is used about equally often, and nothing is drawn. A
person without a kind, or the only one of a kind, has no control of the same kind.

A person may have several cases (see `person_behind`), which are no control for each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.methods.bench import next_case
from idiolect.evaluate.records import Control
from idiolect.people.splits import person_behind


class ControlCases:
    """The cases that controls learn from.

    Args:
        benchmark: the benchmark with all cases, whichever of them this process asks.
    """

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark = benchmark
        self._by_kind: dict[Control, Mapping[str, Case]] = {}

    def of(self, case: Case, control: Control) -> Case | None:
        """Return the case that an arm with this control learns from; None if there is no such person."""
        if control == "own":
            return case
        if control == "another's":
            return next_case(self._benchmark, case)
        if control not in self._by_kind:
            same = control == "another's of the same kind"
            self._by_kind[control] = _controls_by_kind(self._benchmark.cases, same=same)
        return self._by_kind[control].get(case.user.id)

    def without(self, control: Control) -> list[Case]:
        """Return the cases for which there is no such person."""
        cases = self._benchmark.cases
        if control == "another's":  # two people suffice for everybody to have a next one
            return [] if cases and self.of(cases[0], control) is not None else list(cases)
        return [case for case in cases if self.of(case, control) is None]


def _controls_by_kind(cases: tuple[Case, ...], *, same: bool) -> dict[str, Case]:
    """Return the control of each person who has one, by the person's id."""
    uses, found = Counter[str](), dict[str, Case]()
    for place, case in enumerate(cases):
        following = [each for each in (*cases[place + 1 :], *cases[:place]) if _may_control(each, case, same=same)]
        if following:
            control = min(following, key=lambda each: uses[each.user.id])  # the first of the least used
            uses[control.user.id] += 1
            found[case.user.id] = control
    return found


def _may_control(other: Case, case: Case, *, same: bool) -> bool:
    kinds_known = bool(other.group and case.group)
    return kinds_known and (other.group == case.group) == same and person_behind(other.user) != person_behind(case.user)
