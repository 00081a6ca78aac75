"""What an edited model writes, to be judged by reading: the first people of a file, the first packaged subjects.

    python benchmarks/reading_test.py writers.jsonl --from-group START --out reading.md

Nothing is chosen: people in the order of the file, subjects in the order of the package, and the first draw of each.
The base model and the edited one get the same request and the same seed. Each person learns from their first --texts
texts. The page begins with three of these, so that a reader knows the voice to look for.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from idiolect import User
from idiolect.application.chameleon_starts import start_in
from idiolect.methods.chameleon.grouped import GroupedChameleon
from idiolect.methods.chameleon.preferences import subject_query, subjects
from idiolect.methods.chameleon.settings import preset
from idiolect.models.language_model import Completion, CompletionModel, CompletionRequest, Message, SamplingParams
from idiolect.models.local import LocalModel, load_local_model
from idiolect.people.users_file import read_users


async def written(model: CompletionModel, requests: Sequence[str], sampling: SamplingParams) -> list[Completion]:
    """Return one text for each request."""
    return await model.complete([CompletionRequest((Message("user", each),), sampling) for each in requests])


async def page(people: Sequence[User], model: LocalModel, options: argparse.Namespace) -> list[str]:
    """Return the lines of the page."""
    start = await start_in(options.from_group, "embedded", model.fingerprint(), model)
    requests = [subject_query(each).text for each in subjects()[: options.subjects]]
    sampling = SamplingParams(options.tokens, options.temperature, seed=options.seed)
    base = await written(model, requests, sampling)
    lines = []
    for user in people:
        learned = await GroupedChameleon(model, preset("grouped"), start=start).fit(user)
        edited = await written(model.with_edit(learned.edit), requests, sampling)
        lines += [f"## {user.id}", "", f"{learned.gate}.", "", "Three of the texts that were learned from:", ""]
        lines += [f"> {quoted(text)}\n>" for text in user.texts[:3]]
        lines.append("")
        for request, plain, own in zip(requests, base, edited, strict=True):
            lines += [f"**{request}**", "", f"- *base*: {quoted(plain.text)}", f"- *edited*: {quoted(own.text)}", ""]
    return lines


def quoted(text: str) -> str:
    """Return a text in one line, without what Markdown would read as marks."""
    return " ".join(text.split()).replace("\\", "\\\\").translate(str.maketrans({c: f"\\{c}" for c in "*_<>[]`#"}))


def main() -> None:
    """Learn, write, and print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("users", type=Path, help="users file")
    parser.add_argument("--from-group", help="folder of a group's edit; default: the packaged one")
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--subjects", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=70)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file to write; default: the screen")
    options = parser.parse_args()
    people = [
        replace(user, texts=user.texts[: options.texts]) for user in islice(read_users(options.users), options.people)
    ]
    command = f"    python benchmarks/reading_test.py {options.users.name}"
    command += " --from-group START" if options.from_group else ""
    drawn = f"Temperature {options.temperature}, at most {options.tokens} tokens, seed {options.seed}, embedded model."
    model = load_local_model("embedded")
    try:
        body = asyncio.run(page(people, model, options))
    finally:
        model.close()
    text = "\n".join(["# What an edited model writes", "", command, "", drawn, "", *body])
    if options.out is None:
        print(text)
    else:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
