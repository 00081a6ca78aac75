"""One HTML file that tells an evaluation: no network, and readable without its scripts.

    Summary → sections_of → templates/report.html.jinja → HTML

Everything that reaches the template is hostile text and escaped, but for the drawings, which `drawing` makes; a policy
in the page's head forbids it to load anything.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from idiolect.evaluate.report.headline import headline_of
from idiolect.evaluate.report.sections import sections_of
from idiolect.evaluate.report.wording import cleaned
from idiolect.evaluate.summary import Summary


def render(summary: Summary) -> str:
    """Return the report as HTML; the same summary gives the same text."""
    kept: Summary = cleaned(summary)
    template = _environment().get_template("report.html.jinja")
    return template.render(head=headline_of(kept), sections=sections_of(kept))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("idiolect.evaluate.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawing"] = Markup  # for SVG of ours only
    return environment
