"""The prompt that describes a person: Fermi's initial prompt `P⁰`, and the profile baseline."""

from __future__ import annotations

from collections.abc import Iterator

from idiolect.methods.shortening import CUTS, cut
from idiolect.methods.templating import render
from idiolect.people.user import UserProfile


def profile_prompt(profile: UserProfile) -> str:
    """Return “A person can be described as follows: …” if there is a profile, otherwise the plain task prompt."""
    return render("initial_prompt.jinja", {"profile": dict(profile.attributes)})


def shorter_profile_prompts(profile: UserProfile) -> Iterator[str]:
    """Yield ever shorter prompts: with the beginnings of long attributes, with fewer attributes, and without any."""
    attributes = dict(profile.attributes)
    for most in CUTS:
        attributes = {name: cut(value, most) for name, value in attributes.items()}
        yield profile_prompt(UserProfile(attributes))
    names = list(attributes)
    for n in range(len(names) - 1, 0, -1):
        yield profile_prompt(UserProfile({name: attributes[name] for name in names[:n]}))
    yield profile_prompt(UserProfile())
