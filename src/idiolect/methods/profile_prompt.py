"""The prompt that says who somebody is: Fermi's initial prompt `P⁰`, and the profile baseline."""

from __future__ import annotations

from idiolect.methods.templating import render
from idiolect.people.user import UserProfile


def profile_prompt(profile: UserProfile) -> str:
    """“A person can be described as follows: …” where there is a profile, else the plain task prompt."""
    return render("initial_prompt.jinja", {"profile": dict(profile.attributes)})
