"""Choice of CHAMELEON's preset where nobody names one: by the edit at hand, and by what is known of a person.

    a group's edit is named → grouped;  packaged for the model → grouped | measured, by person;  neither → measured

The packaged edit is one of writers. People of whom only choices were known gained more by a step from nothing
(docs/results/chameleon-personal.md, "Ratings and stars, by accuracy"), so that is what people without texts get.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idiolect.application.names import DEFAULT_MODEL
from idiolect.application.presets import ChosenPreset

if TYPE_CHECKING:
    from idiolect.people.user import User


@dataclass(frozen=True, slots=True)
class ChameleonDefault:
    """Presets of people for whom nobody names one; most often one for all.

    Args:
        with_texts: preset of a person with at least one text.
        without_texts: preset of a person of whom only opinions are known.
    """

    with_texts: ChosenPreset
    without_texts: ChosenPreset

    @property
    def by_person(self) -> bool:
        """Whether the preset depends on the person."""
        return self.with_texts != self.without_texts

    @property
    def line(self) -> str:
        """The choice and its reason in one line, for each kind of people if it depends on the person."""
        return "; ".join(dict.fromkeys((self.with_texts.line, self.without_texts.line)))

    @property
    def reasons(self) -> dict[str, str]:
        """The reason for each preset, by its name."""
        return {chosen.name: chosen.reason for chosen in (self.with_texts, self.without_texts)}

    def of(self, user: User) -> ChosenPreset:
        """Return the preset of a person."""
        return self.with_texts if user.texts else self.without_texts


def chameleon_default(*, model: str, from_group: str | None = None) -> ChameleonDefault:
    """Return the presets for a model, and for the group's edit that is named, if one is."""
    if from_group is not None:
        return _for_all(ChosenPreset("grouped", f"a person's step begins at the edit of {from_group}"))
    if model == DEFAULT_MODEL:
        packaged = f"an edit of a group of writers is packaged for {model}"
        where_choices = "where only choices are known, a step from nothing gained more"
        return ChameleonDefault(
            ChosenPreset("grouped", packaged, people="people with texts"),
            ChosenPreset("measured", where_choices, people="people without texts"),
        )
    return _for_all(
        ChosenPreset("measured", "no group's edit is named (--from-group), and none is packaged for the model")
    )


def _for_all(chosen: ChosenPreset) -> ChameleonDefault:
    return ChameleonDefault(chosen, chosen)
