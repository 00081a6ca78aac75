"""One HTML file that tells an evaluation: no network, and readable without its scripts.

    Summary → sections_of → templates/report.html.jinja → HTML

Everything that reaches the template is hostile text and escaped, but for the drawings, which `drawing` makes; a policy in
the page's head forbids it to load anything.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from idiolect.evaluate.report.headline import Headline, headline_of
from idiolect.evaluate.report.sections import sections_of
from idiolect.evaluate.report.wording import cleaned
from idiolect.evaluate.summary import Summary


def render(summary: Summary) -> str:
    """The report as HTML; the same summary gives the same text.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    head: Headline = headline_of(summary)
    return _environment().get_template("report.html.jinja").render(head=head, sections=sections_of(summary))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("idiolect.evaluate.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    environment.filters["drawing"] = Markup  # for SVG of ours only
    return environment


def _finalized(value: Any) -> Any:
    return cleaned(value) if isinstance(value, str) and not isinstance(value, Markup) else value
