"""The documents on the library and on models behind an API: their blocks run, one after the other."""

from __future__ import annotations

import pytest

from tests.documents import blocks_of, check_block_ran, check_fences

DOCUMENTS = ("docs/library.md", "docs/remote.md")


@pytest.mark.parametrize(
    ("document", "index"),
    [(document, index) for document in DOCUMENTS for index in range(len(blocks_of(document)))],
    ids=[str(block) for document in DOCUMENTS for block in blocks_of(document)],
)
def test_block_runs(document: str, index: int) -> None:
    check_block_ran(document, index)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_has_blocks_and_every_fence_is_known(document: str) -> None:
    check_fences(document)
