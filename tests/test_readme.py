"""The README does what it says: its commands run, as they are; and links between documents lead somewhere."""

from __future__ import annotations

import re

import pytest

from idiolect.evaluate.methods.table import METHODS
from tests.documents import ROOT, blocks_of, check_block_ran, check_fences, run_document

DOCUMENT = "README.md"

_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_REPORTS = ROOT / "docs" / "results" / "evaluations"  # not in the sdist


@pytest.mark.parametrize("index", range(len(blocks_of(DOCUMENT))), ids=map(str, blocks_of(DOCUMENT)))
def test_block_runs(index: int) -> None:
    check_block_ran(DOCUMENT, index)


def test_number_of_methods_is_the_tables() -> None:
    assert f"compares {len(METHODS)} methods" in (ROOT / DOCUMENT).read_text(encoding="utf-8")


def test_document_has_blocks_and_every_fence_is_known() -> None:
    check_fences(DOCUMENT)


def test_real_demo_shows_only_what_is_ours() -> None:
    demo = next(run for run in run_document("README.md") if "idiolect demo" in run.block.code)
    assert demo.status == 0, demo.stderr
    people, writers = r"\[\d/2\] fwc-[0-9a-f]{8}: learned and compared", r"\[1/1\] [a-z-]+: learned and compared"
    assert re.fullmatch(rf"({people}, \d+ s\n){{2}}{writers}, \d+ s\n", demo.stderr)
    assert demo.stdout.startswith("2 bundled people, who rated national cuisines from 1 to 5")
    assert " ".join(demo.stdout.split()).endswith("CC BY 4.0, adapted")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/**/*.md"])
def test_links_between_documents_lead_somewhere(document: str) -> None:
    broken = []
    for path in ROOT.glob(document):
        for match in _LINK.finditer(path.read_text(encoding="utf-8")):
            target = match["target"].partition("#")[0]
            linked = (path.parent / target).resolve()
            checkable = _REPORTS.exists() or not linked.is_relative_to(_REPORTS)
            if target and "://" not in target and checkable and not linked.exists():
                broken.append(f"{path.relative_to(ROOT)}: {target}")
    assert broken == []
