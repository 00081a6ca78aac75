"""Prompts as Jinja template files in a sandbox: the only place where people's text meets text of ours.

People's text (profiles, questions, answers, responses) is hostile until proven otherwise. It reaches a template only
as a *value*, so it can't inject template code; and it passes the `inert` filter, so it can neither close the block
it stands in nor open one of ours: angle brackets are replaced by look-alikes wherever they'd form a tag of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from idiolect.errors import SettingsError

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

# The tags that our templates use as structure; `<INS>` is the slot that shows an optimizer where a prompt goes.
_TAGS = ("INS", "person", "opinion", "opinions", "failure", "failures", "prompt", "memory", "example", "examples")
_TAG = re.compile(r"<(\s*/?\s*(?:" + "|".join(_TAGS) + r")\b[^<>]*)>", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def inert(text: str) -> str:
    """People's text, unable to act as structure of a template: our tags become ‹look-alikes›, controls are dropped.

    Line breaks become spaces: every block of ours is made of lines, and one person's line must stay one line.
    """
    flat = " ".join(_CONTROL.sub("", text).split())
    return _TAG.sub(r"‹\1›", flat)


def holds_tag(text: str) -> bool:
    """The text holds a tag of ours."""
    return _TAG.search(text) is not None


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import PackageLoader, StrictUndefined  # settings and results are read without any template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=PackageLoader("idiolect.methods", "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # prompts are plain text; `inert` is what guards them
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters["inert"] = inert
    return environment


def render(template: str, values: Mapping[str, Any]) -> str:
    """Render the packaged template file `template` (for example "question.jinja"), outer blank space stripped."""
    return _environment().get_template(template).render(values).strip()


def render_source(source: str, values: Mapping[str, Any]) -> str:
    """Render a template that the user supplied, in the same sandbox.

    Raises:
        SettingsError: the template is not valid, fails, or does what the sandbox forbids.
    """
    check_source(source)
    try:
        template: Template = _environment().from_string(source)
        return template.render(values).strip()
    except Exception as error:  # whatever a template computes: 1/0, endless recursion, more memory than there is
        raise SettingsError(f"the template can't be used: {type(error).__name__}: {error}") from error


def check_source(source: str) -> None:
    """Refuse what is no template at all.

    Raises:
        SettingsError: the syntax is wrong.
    """
    from jinja2 import TemplateError

    try:
        _environment().parse(source)
    except TemplateError as error:
        raise SettingsError(f"the template can't be used: {error}") from error
