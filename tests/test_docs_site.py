"""The documentation site: it builds without a warning, has all public names, and needs no network to be read."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

import idiolect
from idiolect import errors

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="the group `docs` is not installed: make check installs it"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]  # --quiet hides warnings
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )
    assert (built.returncode, "WARNING" in built.stderr) == (0, False), built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """The hook of MkDocs that treats links and lists."""
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "scripts" / "docs_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Assets(HTMLParser):
    """Collects what a browser loads by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address in a tag, unless it is that of a link to click on."""
        given = dict(attrs)
        if tag == "link" and given.get("rel") in ("canonical", "next", "prev"):
            return
        self.addresses += [value for name in ("src", "href", "data") if tag != "a" and (value := given.get(name))]


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    loaded = set()
    for page in pages:
        assets = Assets()
        assets.feed(page.read_text(encoding="utf-8"))
        loaded |= {(page.name, address) for address in assets.addresses}
    styles = "".join(style.read_text(encoding="utf-8") for style in site.rglob("*.css"))
    assert {each for each in loaded if re.match(r"(?:https?:)?//", each[1])} == set()
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", styles) == []


def test_search_has_what_it_needs_without_a_server(site: Path) -> None:
    assert (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index = {")
    assert "assets/iframe-worker.js" in (site / "index.html").read_text(encoding="utf-8")
    assert (site / "assets" / "iframe-worker.js").is_file()


def test_reference_has_every_public_name_and_error(site: Path) -> None:
    inventory = zlib.decompress((site / "objects.inv").read_bytes().split(b"zlib.\n", 1)[1]).decode()
    documented = {line.split()[0] for line in inventory.splitlines()}
    public = {f"idiolect.{name}" for name in idiolect.__all__ if name != "__version__"}
    raised = {f"idiolect.errors.{name}" for name, kind in vars(errors).items() if isinstance(kind, type)}
    own = {name for name in raised if vars(errors)[name.rpartition(".")[2]].__module__ == errors.__name__}
    assert (public | own) - documented == set()


def test_links_that_leave_the_documents_lead_to_a_page_or_show_a_path(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    assert '<a href="quickstart.html">' in home
    assert '<a href="contributing.html">' in home
    assert "(<code>LICENSE</code>)" in home
    assert "<code>src/idiolect/models/calls/prices.toml</code>" in (site / "remote.html").read_text(encoding="utf-8")


PAGE = """
Fine: [a file](../README.md), [a table](quickstart.md), [elsewhere](https://example.org/nothing.md), [here](#there).

Gone: [a source file](../src/idiolect/nothing.py), [a page](nothing.md), [outside](../../README.md).

A list:
- that a forge shows, and Python-Markdown doesn't

- One
  - indented for a forge only
"""


def test_broken_links_and_lists_are_warnings(hook: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    from markdown import Markdown
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import File, Files
    from mkdocs.structure.pages import Page

    config = MkDocsConfig()
    config.load_dict({"site_name": "one page", "docs_dir": str(ROOT / "docs"), "site_dir": "site"})
    config.validate()
    names = ("page.md", "quickstart.md", "index.md")
    files = Files([File(name, config.docs_dir, config.site_dir, use_directory_urls=False) for name in names])
    page = Page(None, files.src_uris["page.md"], config)
    extensions = hook.on_config(config).markdown_extensions
    caplog.set_level(logging.WARNING)
    html = Markdown(extensions=extensions).convert(hook.on_page_markdown(PAGE, page, config, files))
    assert 'href="index.md"' in html
    assert 'href="quickstart.md"' in html
    warned = [record.getMessage() for record in caplog.records if record.name == hook.log.name]
    assert [re.sub(r".*(?:links to|the list(?: in a list)? at) '([^']*)'.*", r"\1", each) for each in warned] == [
        "indented for a forge only",
        "../src/idiolect/nothing.py",
        "nothing.md",
        "../../README.md",
        "that a forge shows, and Python",
    ]
