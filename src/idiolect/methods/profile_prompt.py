"""The prompt that describes a person: Fermi's initial prompt `P⁰`, and the profile baseline."""

from __future__ import annotations

from idiolect.methods.answering import AnsweringSettings
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
