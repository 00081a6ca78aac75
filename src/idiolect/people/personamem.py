"""PersonaMem: simulated people, with what an assistant should answer them after long conversations.

questions_32k.csv, shared_contexts_32k.jsonl → personas, with their questions by place in their conversations

Jiang et al., Know Me, Respond to Me (arXiv 2504.14225); data: huggingface.co/datasets/bowen-upenn/PersonaMem, in three
sizes. A question is a message of the persona, and the choices are four responses, one of which fits what the persona
said before. It is asked at a point of a conversation: after the first `end_index_in_shared_context` messages of a
shared context. `personamem_contexts.py` reads the contexts; the task decides what may be learned from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from idiolect.errors import DatasetError, Remedy
from idiolect.escaping import printable
from idiolect.people.broken_records import BrokenRecords, BrokenRecordsLog
from idiolect.people.csv_file import opened_csv
from idiolect.people.folders import contents, entries_below
from idiolect.people.personamem_contexts import Context, read_contexts
from idiolect.people.python_literals import text_list
from idiolect.people.response_choices import label, one_line, question_about
from idiolect.people.text_file import bare_name, present
from idiolect.people.user import Opinion, User, UserProfile

INSTRUCTION = "Which of these responses to this person's message fits this person best?"
COLUMNS = (
    "persona_id",
    "question_id",
    "user_question_or_message",
    "correct_answer",
    "all_options",
    "shared_context_id",
    "end_index_in_shared_context",
)
_QUESTIONS = re.compile(r"^questions_(\w+)\.csv$")
_OPTION = re.compile(r"^\(([a-z])\)\s*")


@dataclass(frozen=True, slots=True)
class PersonaQuestion:
    """A question with its place.

    Args:
        opinion: the question and the right response; extra keys "id", and "question_type" and "topic" if published.
        message: the persona's message without regard to case and blanks, which is the same for a repeated question.
        context: id of the shared context.
        end: number of the context's messages that precede the question.
    """

    opinion: Opinion
    message: str
    context: str
    end: int


@dataclass(frozen=True, slots=True)
class Persona:
    """A persona with all questions, in the order of the file.

    Args:
        id: "personamem-<persona_id>".
        profile: what the system message of the persona's first context states.
        questions: at least one.
        contexts: the persona's conversations, by the id of the shared context.
    """

    id: str
    profile: UserProfile
    questions: tuple[PersonaQuestion, ...]
    contexts: Mapping[str, Context]


@dataclass(frozen=True, slots=True)
class PersonaMem:
    """The personas that were read.

    Args:
        personas: in the order in which they first appear.
        size: "32k".
        broken: rows, lines and contexts that could not be read.
        replaced: number of rows with bytes that are not UTF-8.
        cut: number of messages and responses that were cut.
    """

    personas: tuple[Persona, ...]
    size: str
    broken: BrokenRecords
    replaced: int = 0
    cut: int = 0


def read_personamem(path: Path, *, size: str = "") -> PersonaMem:
    """Read the personas of one size of the benchmark.

    Args:
        path: a folder with `questions_<size>.csv` and `shared_contexts_<size>.jsonl`, a folder above it, or the
            questions file.
        size: "32k", "128k" or "1M", if the folder has several.

    Raises:
        DatasetError: a file is missing or not in the published layout, several sizes fit, or no question is valid.
    """
    questions, contexts, found_size = _files(path, size)
    log = BrokenRecordsLog()
    rows = _Rows(log)
    by_persona = rows.read(questions)
    wanted = {each.context for given in by_persona.values() for each in given}
    found = read_contexts(contexts, wanted, log) if wanted else {}
    personas = []
    for key, given in by_persona.items():
        kept = tuple(each for each in given if _has_its_context(each, found, log))
        if kept:
            own = {each.context: found[each.context] for each in kept}
            profile = next((context.profile for context in own.values() if context.profile), UserProfile())
            personas.append(Persona(key, profile, kept, own))
    if not personas:
        raise DatasetError(
            f"{printable(questions.name)}: has no valid question with its context in {printable(contexts.name)} "
            f"({log.count} broken records)"
        )
    return PersonaMem(tuple(personas), found_size, log.records, rows.replaced, rows.cut)


def _has_its_context(question: PersonaQuestion, found: Mapping[str, Context], log: BrokenRecordsLog) -> bool:
    context = found.get(question.context)
    if context is not None and question.end <= context.n_messages:
        return True
    why = "its shared context is missing" if context is None else "its place is behind the end of its shared context"
    log.add(f"question {printable(str(question.opinion.extra['id'])[:40])}", why)
    return False


def _files(path: Path, size: str) -> tuple[Path, Path, str]:
    """Return the questions, the contexts beside them, and the size."""
    questions = _questions_in(path, size) if path.is_dir() else present(path)
    if questions is None:
        raise DatasetError(f"{printable(str(path))}: there is no such file or folder")
    match = _QUESTIONS.match(bare_name(questions))
    if match is None:
        raise DatasetError(
            f"{printable(str(path))}: is not a questions file; expected a name like questions_32k.csv, or the folder "
            "of one"
        )
    if size and size.casefold() != match[1].casefold():
        raise DatasetError(f"{printable(str(path))}: is of the size {match[1]}, not {printable(size)!r}")
    contexts = questions.with_name(f"shared_contexts_{match[1]}.jsonl")
    beside = present(contexts)
    if beside is None:
        raise DatasetError(f"{printable(str(contexts))}: does not exist; it belongs beside {printable(questions.name)}")
    return questions, beside, match[1]


def _questions_in(folder: Path, size: str) -> Path:
    found: dict[str, Path] = {}
    for entry in entries_below(folder, lambda each: _QUESTIONS.match(bare_name(each)) is not None and each.is_file()):
        found.setdefault(bare_name(entry).removeprefix("questions_").removesuffix(".csv"), entry)
    name = printable(str(folder))
    if not found:
        raise DatasetError(f"{name}: contains no questions_32k.csv, _128k or _1M; {contents(folder)}")
    by_size = {each.casefold(): path for each, path in found.items()}
    if size.casefold() in by_size:
        return by_size[size.casefold()]
    sizes, remedy = ", ".join(map(printable, found)), Remedy("split", next(iter(found)))
    if size:
        raise DatasetError(f"{name}: has no size {printable(size)!r}; it has {sizes}", remedy=remedy)
    if len(found) > 1:
        raise DatasetError(f"{name}: has several sizes: {sizes}; choose one", remedy=remedy)
    return next(iter(found.values()))


@dataclass(slots=True)
class _Rows:
    """A reader of the rows of a questions file."""

    log: BrokenRecordsLog
    replaced: int = 0
    cut: int = 0
    seen: set[tuple[str, str, str]] = field(default_factory=set)

    def read(self, path: Path) -> dict[str, list[PersonaQuestion]]:
        """Return the questions by the id of their persona."""
        found: dict[str, list[PersonaQuestion]] = {}
        with opened_csv(path, self.log) as table:
            places = table.required(*COLUMNS)
            more = {name: table.column(name) for name in ("question_type", "topic")}
            for number, row in table.rows():
                extra = {name: row[at].strip() for name, at in more.items() if at is not None and row[at].strip()}
                try:
                    persona, question = self._row([row[at].strip() for at in places], extra)
                    found.setdefault(persona, []).append(question)
                except ValueError as error:
                    self.log.add(f"{table.name}: row {number}", str(error))
            self.replaced = table.replaced
        return found

    def _row(self, cells: Sequence[str], extra: Mapping[str, str]) -> tuple[str, PersonaQuestion]:
        persona, key, message, answer, options, context, end = cells
        if not persona or not key or not context:
            raise ValueError("lacks its persona_id, question_id or shared_context_id")
        if (key, context, end) in self.seen:
            raise ValueError("repeats an earlier row")
        if not end.removesuffix(".0").isdecimal():
            raise ValueError("its end_index_in_shared_context is not a number")
        responses = _responses(options)
        right = answer.casefold().strip("() ")
        if right not in responses:
            raise ValueError("its correct_answer is not the letter of one of its options")
        built = question_about(INSTRUCTION, "Message", message, list(responses.values()))
        opinion = Opinion(built.question, label(list(responses).index(right)), {"id": key, **extra})
        User(f"personamem-{persona}", opinions=(opinion,))  # raises if the id cannot be stored
        self.seen.add((key, context, end))
        self.cut += built.cut
        flat = one_line(message).casefold()
        return f"personamem-{persona}", PersonaQuestion(opinion, flat, context, int(end.removesuffix(".0")))


def _responses(cell: str) -> dict[str, str]:
    """Return the options by their letter, in order, without it: "['(a) …', '(b) …']"."""
    options = text_list(cell)
    letters = [found[1] if (found := _OPTION.match(option)) else "" for option in options]
    if len(options) < 2 or letters != [chr(ord("a") + index) for index in range(len(options))]:
        raise ValueError("its options are not a list of texts that begin with (a), (b), …")
    return {letter: _OPTION.sub("", option) for letter, option in zip(letters, options, strict=True)}
