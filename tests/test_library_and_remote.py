"""The documents on the library and on models behind an API: their blocks run, one after the other."""

from __future__ import annotations

import textwrap

import pytest

from tests.documents import Block, blocks_of, check_block_ran, check_fences, run_blocks

DOCUMENTS = ("docs/library.md", "docs/remote.md")
LIBRARY = "docs/library.md"
INSIDE_A_LOOP = """
import asyncio


async def notebook():
    exec({code!r}, {{"__name__": "__main__"}})


asyncio.run(notebook())
"""


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


def test_workspace_works_inside_a_running_event_loop() -> None:
    """Run what the library's page does with a workspace where an event loop runs already, as in a notebook."""
    blocking = [
        block.code for block in blocks_of(LIBRARY) if "asyncio.run" not in block.code and "Workspace" in block.code
    ]
    blocking += [block.code for block in blocks_of(LIBRARY) if "run_evaluation" in block.code]
    assert len(blocking) == 6
    together = "\n".join(textwrap.dedent(code) for code in blocking)
    (ran,) = run_blocks([Block(LIBRARY, 0, "python", INSIDE_A_LOOP.format(code=together))])
    assert ran.status == 0, f"{ran.stdout}\n{ran.stderr}"
    assert "learned 4" in ran.stdout
