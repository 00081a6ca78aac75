"""Whether an evaluation has enough people for intervals, p values and differences in points.

Summary → too_few_people, few_people_note → sections, tables, screen
"""

from __future__ import annotations

from idiolect.evaluate.arm_answers import LEAST_PEOPLE
from idiolect.evaluate.report.wording import counted
from idiolect.evaluate.summary import Summary


def too_few_people(summary: Summary) -> bool:
    """Return whether no estimate in the main measure, and no difference, has the people that an interval needs."""
    main = summary.header.measures[:1]
    found = [arm.scores[name] for arm in summary.arms for name in main if name in arm.scores]
    found += [comparison.difference for comparison in summary.comparisons]
    return bool(found) and all(each.people < LEAST_PEOPLE and each.low is None for each in found)


def few_people_note(summary: Summary) -> str:
    """Return why there are no intervals and differences."""
    people, who = counted(summary.people, "person has", "people have"), "these people"
    if summary.people == 1:
        who = "this person"
    return (
        f"Only {people} answers, which is too few for intervals, p values and differences in points: these need at "
        f"least {LEAST_PEOPLE} people, because with fewer not even a change for the better in all of them is evidence "
        f"at the 5 % level (exact sign test). The scores describe {who} and nobody else."
    )
