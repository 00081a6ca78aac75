"""The prompt that describes a person: Fermi's initial prompt `P⁰`, and the profile baseline."""

from __future__ import annotations

from collections.abc import Iterator

from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.shortening import CUTS, cut
from idiolect.methods.templating import render
from idiolect.people.user import UserProfile


def profile_prompt(profile: UserProfile, settings: AnsweringSettings) -> str:
    """Return “A person can be described as follows: …” if there is a profile, otherwise the plain task prompt.

    The plain task prompt is a survey's where the output rule applies: nobody in particular is asked, but a respondent.
    """
    return render("initial_prompt.jinja", {"profile": dict(profile.attributes), "survey": settings.rule_applies})


def plain_prompt(settings: AnsweringSettings) -> str:
    """Return the plain task prompt, which describes nobody."""
    return profile_prompt(UserProfile(), settings)


def shorter_profile_prompts(profile: UserProfile, settings: AnsweringSettings) -> Iterator[str]:
    """Yield ever shorter prompts: with the beginnings of long attributes, with fewer attributes, and without any."""
    attributes = dict(profile.attributes)
    for most in CUTS:
        attributes = {name: cut(value, most) for name, value in attributes.items()}
        yield profile_prompt(UserProfile(attributes), settings)
    names = list(attributes)
    for n in range(len(names) - 1, 0, -1):
        yield profile_prompt(UserProfile({name: attributes[name] for name in names[:n]}), settings)
    yield plain_prompt(settings)
