"""The report of an evaluation as one HTML file, which uses no network and is readable without scripts.

    Summary → sections_of → templates/report.html.jinja → HTML

All text in the template is treated as hostile and escaped, except for the drawings, which `drawing` makes. A policy in
the page's head prevents it from loading anything.
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
    environment.filters["drawing"] = Markup  # only for our own SVG
    return environment
