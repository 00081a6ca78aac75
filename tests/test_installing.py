"""The page on installing: its commands run, as they are, one after the other."""

from __future__ import annotations

import pytest

from tests.documents import blocks_of, check_block_ran, check_fences

DOCUMENT = "docs/installing.md"


@pytest.mark.parametrize("index", range(len(blocks_of(DOCUMENT))), ids=map(str, blocks_of(DOCUMENT)))
def test_block_runs(index: int) -> None:
    check_block_ran(DOCUMENT, index)


def test_document_has_blocks_and_every_fence_is_known() -> None:
    check_fences(DOCUMENT)
