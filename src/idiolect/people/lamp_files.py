"""Finding a split of LaMP in whatever folder a download made: the questions file, and the outputs file with the golds.

path, task, split → SplitFiles → `lamp.py`

The published addresses have a folder for each task and split (`LaMP_3/dev/dev_questions.json`; LaMP-2's movies in
`LaMP_2/new/dev`), mirrors and archives keep, shorten or nest these folders, and some people compress the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from idiolect.errors import DatasetError, Remedy
from idiolect.escaping import printable
from idiolect.people.folders import contents, entries_below, is_archive
from idiolect.people.text_file import bare_name, present

_QUESTIONS, _OUTPUTS = "_questions.json", "_outputs.json"
_TASK = re.compile(r"^lamp[-_ ]?(\d)$", re.IGNORECASE)
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """The two files of a split."""

    questions: Path
    outputs: Path


def split_files(path: Path, *, task: str, split: str) -> SplitFiles:
    """Return the files of a split.

    Args:
        path: a questions file, the task's folder, or a folder somewhat above or below it.
        task: "LaMP-3".
        split: name of the split, if `path` is a folder.

    Raises:
        DatasetError: they are not there, or there are several of them; the message lists what was found.
    """
    if not path.is_dir():
        if present(path) is None:
            raise DatasetError(f"{printable(str(path))}: there is no such file or folder")
        return SplitFiles(present(path) or path, _outputs_of(path, path.parent))
    questions = _the_one(path, _named(path, f"{split}{_QUESTIONS}"), task, split)
    return SplitFiles(questions, _outputs_of(questions, path))


def _named(folder: Path, name: str) -> list[Path]:
    """Return the files with a name, each once if it is there both plain and compressed."""
    found = entries_below(folder, lambda entry: bare_name(entry) == name and entry.is_file())
    return list({each.with_name(name): present(each.with_name(name)) or each for each in found}.values())


def _the_one(folder: Path, found: list[Path], task: str, split: str) -> Path:
    """Return the only questions file: the one directly in the folder, or the only one in a folder of the task."""
    if len(found) > 1:
        directly = [each for each in found if each.parent == folder]
        found = directly or [each for each in found if _task_of(each, folder) == task] or found
    if len(found) == 1:
        return found[0]
    name = printable(str(folder))
    if found:
        some = ", ".join(printable(str(each.relative_to(folder))) for each in found[:_SHOWN])
        raise DatasetError(f"{name}: contains {len(found)} files {split}{_QUESTIONS} ({some}): name the folder of one")
    others = entries_below(folder, lambda entry: bare_name(entry).endswith(_QUESTIONS) and entry.is_file())
    splits = sorted({bare_name(each).removesuffix(_QUESTIONS) for each in others})
    where = task.replace("-", "_")
    expected = (
        f"expected {where}/{split}/{split}{_QUESTIONS} or {where}/{split}{_QUESTIONS}, with its outputs beside it"
    )
    if splits:
        has = f"the splits found are: {', '.join(map(printable, splits))}"
        raise DatasetError(f"{name}: has no split {printable(split)!r}; {has}", remedy=Remedy("split", splits[0]))
    raise DatasetError(f"{name}: there is no {split}{_QUESTIONS}; {expected}; {contents(folder)}")


def _task_of(path: Path, folder: Path) -> str:
    """Return the task that the nearest folder between a file and `folder` is named after; "" if none is."""
    for part in reversed(path.relative_to(folder).parts[:-1]):
        if match := _TASK.match(part):
            return f"LaMP-{match[1]}"
    return ""


def _outputs_of(questions: Path, folder: Path) -> Path:
    """Return the outputs file of a questions file: the one beside it, or the only one in the folder."""
    name = bare_name(questions)
    if name.endswith(_OUTPUTS):
        hint = f"{name.removesuffix(_OUTPUTS)}{_QUESTIONS}"
        raise DatasetError(f"{printable(str(questions))}: contains the answers; name the file {hint} or its folder")
    if not name.endswith(_QUESTIONS):
        what = "an archive; unpack it first" if is_archive(questions) else "not a questions file"
        raise DatasetError(
            f"{printable(str(questions))}: is {what}; expected a name like dev{_QUESTIONS}, or the folder of one"
        )
    expected = questions.with_name(name.removesuffix(_QUESTIONS) + _OUTPUTS)
    if outputs := present(expected):
        return outputs
    elsewhere = _named(folder, expected.name)
    if len(elsewhere) == 1:
        return elsewhere[0]
    raise DatasetError(
        f"{printable(str(expected))}: does not exist; answers are published for the splits train and dev, and belong "
        "beside the questions"
    )
