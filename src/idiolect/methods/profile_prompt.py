"""The prompt that describes a person: Fermi's initial prompt `P⁰`, and the profile baseline."""

from __future__ import annotations

from idiolect.methods.templating import render
from idiolect.people.user import UserProfile


def profile_prompt(profile: UserProfile) -> str:
    """Return “A person can be described as follows: …” if there is a profile, otherwise the plain task prompt."""
    return render("initial_prompt.jinja", {"profile": dict(profile.attributes)})
