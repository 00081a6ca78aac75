"""Prompts as Jinja template files in a sandbox: the only place where people's text is combined with our own.

People's text (profiles, questions, answers, responses) is treated as hostile. It reaches a template only as a *value*,
so it cannot inject template code. It also passes the `inert` filter, so it can neither close the block that contains
it nor open one: angle brackets are replaced by look-alikes wherever they would form one of our tags.
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

# Tags that give our templates their structure; `<INS>` is the slot that shows an optimizer where a prompt goes.
_TAGS = ("INS", "person", "opinion", "opinions", "failure", "failures", "prompt", "memory", "example", "examples")
_TAG = re.compile(r"<(\s*/?\s*(?:" + "|".join(_TAGS) + r")\b[^<>]*)>", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def inert(text: str) -> str:
    """Return people's text that cannot act as structure: our tags become ‹look-alikes›, controls are dropped.

    Line breaks become spaces, because our blocks consist of lines, and a person's text must stay on one line.
    """
    flat = " ".join(_CONTROL.sub("", text).split())
    return _TAG.sub(r"‹\1›", flat)


def inert_lines(text: str) -> str:
    """Return text that keeps its lines and cannot act as structure, for texts that have a block of their own."""
    return "\n".join(filter(None, map(inert, text.splitlines())))


def holds_tag(text: str) -> bool:
    """Return whether the text contains one of our tags."""
    return _TAG.search(text) is not None


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import PackageLoader, StrictUndefined  # settings and results are read without any template
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=PackageLoader("idiolect.methods", "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # prompts are plain text, and `inert` protects them
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters["inert"] = inert
    environment.filters["inert_lines"] = inert_lines
    return environment


def render(template: str, values: Mapping[str, Any]) -> str:
    """Render the packaged template file `template` (such as "question.jinja"), and strip outer whitespace."""
    return _environment().get_template(template).render(values).strip()


def render_source(source: str, values: Mapping[str, Any]) -> str:
    """Render a template supplied by the user, in the same sandbox.

    Raises:
        SettingsError: the template is invalid, fails, or is stopped by the sandbox.
    """
    check_source(source)
    try:
        template: Template = _environment().from_string(source)
        return template.render(values).strip()
    except Exception as error:  # a template can raise anything: 1/0, endless recursion, out of memory
        raise SettingsError(f"the template can't be used: {type(error).__name__}: {error}") from error


def check_source(source: str) -> None:
    """Check the syntax of a template.

    Raises:
        SettingsError: the syntax is invalid.
    """
    from jinja2 import TemplateError

    try:
        _environment().parse(source)
    except TemplateError as error:
        raise SettingsError(f"the template can't be used: {error}") from error
