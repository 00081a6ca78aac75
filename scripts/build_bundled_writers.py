"""Builds the bundled writers, `src/idiolect/people/data/writers.jsonl`, from a users file of public-domain texts.

    python scripts/build_bundled_writers.py style/writers.jsonl

Who is in: one person's addresses and one playwright's character, named below. Of each the first 24 texts of 120 to 420
characters, in their order, word for word. The same input gives the same bytes. `ATTRIBUTION.md`, next to the output,
says where the texts come from.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from idiolect.people.users_file import read_users, write_users

WRITERS = ("president-kennedy", "character-othello-iago")
TEXTS = 24
SHORTEST, LONGEST = 120, 420
OUTPUT = Path(__file__).parent.parent / "src" / "idiolect" / "people" / "data" / "writers.jsonl"


def build(source: Path, output: Path) -> None:
    """Writes the users file.

    Raises:
        SystemExit: a writer is missing, or has too few texts.
    """
    known = {user.id: user for user in read_users(source)}
    chosen = []
    for name in WRITERS:
        user = known.get(name)
        texts = () if user is None else tuple(text for text in user.texts if SHORTEST <= len(text) <= LONGEST)
        if user is None or len(texts) < TEXTS:
            sys.exit(f"{name} has {len(texts)} texts of that length in {source}, {TEXTS} are needed")
        chosen.append(replace(user, texts=texts[:TEXTS]))
    with output.open("wb") as stream:
        write_users(chosen, stream)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a users file with these writers' texts")
    build(parser.parse_args().source, OUTPUT)
