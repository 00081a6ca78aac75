"""A hook of MkDocs (see mkdocs.yml): puts pages of the repository's root on the site, and checks all links and lists.

Documents link to each other by the repository's paths, so that they can be read on a forge as well. Here each such
link is led to its page. What has no page (source files, folders) is shown as a path instead. A link to something that
is not in the repository is a warning, and with `--strict` the build fails. The same holds for a list that a forge shows
as one and Python-Markdown doesn't.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit
from xml.etree.ElementTree import Element, SubElement

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"
# Pages that are not in docs/: the path in the repository, and on the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "src/idiolect/people/data/ATTRIBUTION.md": "bundled-data.md",
}
_REPOSITORY_PATHS = {on_site: path for path, on_site in PAGES.items()}
_BEFORE_MKDOCS = 10  # MkDocs checks links at priority 0
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_NESTED_TOO_LITTLE = re.compile(r"^ {1,3}(?:[-*+]|\d+[.)]) +(.{,30})", re.MULTILINE)
_LIST_IN_A_PARAGRAPH = re.compile(r"\n *(?:[-*+]|1[.)]) +(.{,30})")

log = logging.getLogger("mkdocs.hooks.docs_site")


class RepositoryPage(Treeprocessor):
    """Leads a page's links to where their targets are on the site, and checks its lists.

    `page` and `files` are set before each page.
    """

    page: Page
    files: Files

    def run(self, root: Element) -> None:
        """Change all links and images of a page, and warn about lists that are none."""
        for element in [*root.iter("a"), *root.iter("img")]:
            self._lead(element, "href" if element.tag == "a" else "src")
        for element in [*root.iter("p"), *root.iter("li")]:
            if found := _LIST_IN_A_PARAGRAPH.search(_own_text(element)):
                log.warning(
                    "Page '%s': the list at '%s' needs an empty line before it.", self.page.file.src_uri, found[1]
                )

    def _lead(self, element: Element, attribute: str) -> None:
        scheme, host, link, query, anchor = urlsplit(element.get(attribute, ""))
        if scheme or host or not link or link.startswith("/"):
            return
        here = self.page.file.src_uri
        path = _repository_path(here, unquote(link))
        if not (ROOT / path).exists() or path.startswith("../"):
            log.warning("Page '%s' links to '%s', but '%s' is not in the repository.", here, link, path)
        elif (on_site := _site_path(path)) and self.files.get_file_from_path(on_site):
            relative = posixpath.relpath(on_site, posixpath.dirname(here) or ".")
            element.set(attribute, urlunsplit(("", "", relative, query, anchor)))
        else:
            _show_path(element, path)


class _PageExtension(Extension):
    def __init__(self, treatment: RepositoryPage) -> None:
        super().__init__()
        self._treatment = treatment

    def extendMarkdown(self, md: Markdown) -> None:
        md.treeprocessors.register(self._treatment, "repository_page", _BEFORE_MKDOCS)


_treatment = RepositoryPage()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the treatment of pages to the extensions of Markdown."""
    config.markdown_extensions.append(_PageExtension(_treatment))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for path, on_site in PAGES.items():
        files.append(File.generated(config, on_site, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Note which page is next, and warn about lists in lists that would not be shown as such.

    The home page gets no navigation at its side, because it is the only one of its tab.
    """
    del config
    if page.file.src_uri == "index.md":
        page.meta["hide"] = ["navigation"]
    for found in _NESTED_TOO_LITTLE.finditer(_FENCED.sub("", markdown)):
        log.warning("Page '%s': the list in a list at '%s' must be indented by 4.", page.file.src_uri, found[1])
    _treatment.page, _treatment.files = page, files
    return markdown


def _repository_path(page: str, link: str) -> str:
    """Return the path, in the repository, of what a page of the site links to."""
    here = _REPOSITORY_PATHS.get(page, f"{DOCS}/{page}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), link))


def _site_path(path: str) -> str | None:
    """Return where a path of the repository would be on the site; None if it is neither in docs/ nor in `PAGES`."""
    return PAGES.get(path) or (path.removeprefix(f"{DOCS}/") if path.startswith(f"{DOCS}/") else None)


def _show_path(link: Element, path: str) -> None:
    """Make a link plain text with the path that it led to, or nothing but the path if the text is a part of that."""
    text, tail = "".join(link.itertext()), link.tail
    if path.endswith(text.strip("/")):
        link.clear()
        link.tag, link.text = "code", path
    else:
        link.tag = "span"
        link.attrib.clear()
        _append_text(link, " (")
        SubElement(link, "code").text = path
        _append_text(link, ")")
    link.tail = tail


def _own_text(element: Element) -> str:
    """Return an element's text without that of nested lists and code blocks."""
    parts = [element.text or ""]
    for child in element:
        if child.tag not in ("ul", "ol", "pre", "p"):
            parts.append("".join(child.itertext()))
        parts.append(child.tail or "")
    return "".join(parts)


def _append_text(element: Element, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or "") + text
    else:
        element.text = (element.text or "") + text
