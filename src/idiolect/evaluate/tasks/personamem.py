"""The task `personamem`: simulated people, whom an assistant knows from conversations.

PersonaMem's files → personas → partition (by id) → what is learned from, and what is asked → cases

Nothing that belongs to a later point of a conversation is learned from. A persona's questions are ordered: one shared
context after the other (in an order by seed and id), each from its beginning to its end. `train` questions are learned
from, from the beginning of this order; of a point at which only some of the questions are learned from, the others are
left out, and so is every question whose message is asked again later. All others are asked, at most `test` of them.
With `history="texts"`, the persona's own messages before the first question that is asked are learned from instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from idiolect.errors import DatasetError, SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.tasks.cases import partition_ids
from idiolect.evaluate.tasks.task import Task, TaskOptions
from idiolect.evaluate.tasks.users import data_of, replaced_note
from idiolect.people.newest_answers import same_question_key
from idiolect.people.personamem import Persona, PersonaMem, PersonaQuestion, read_personamem
from idiolect.people.response_choices import cut_note
from idiolect.people.splits import shuffled
from idiolect.people.user import User

NAME = "personamem"
_NO_SIZE = "dev"  # the default of `split`, which is LaMP's


def load_personamem(options: TaskOptions) -> Benchmark:
    """Load PersonaMem; see `Task.load`. `split` is the size; `topics` and `group_by` must be empty."""
    if options.topics or options.group_by:
        raise SettingsError(f"{NAME}: these people have no groups: omit topics and group_by")
    size = "" if options.split == _NO_SIZE else options.split
    read = read_personamem(data_of(NAME, options), size=size)
    by_id = {persona.id: persona for persona in read.personas}
    reported, development = partition_ids({key: key for key in by_id}, seed=options.seed)
    chosen = reported if options.group == "reported" else development
    parts = [parts_of(by_id[key], options) for key in chosen]
    usable = list(islice((each for each in parts if each is not None), options.people))
    if not usable:
        raise DatasetError(
            f"{NAME}: none of the {len(chosen)} people in the {options.group} group has questions at two points of "
            "their conversations, one to learn from and a later one to ask"
        )
    ids = {each.persona.id for each in usable}
    return Benchmark(
        NAME,
        tuple(each.case(options) for each in usable),
        ("accuracy",),
        others=tuple(_all_of(by_id[key]) for key in development if key not in ids),
        others_are_fixed=options.group == "reported",
        broken=read.broken,
        notes=_notes(read, usable, parts.count(None), options),
    )


def _all_of(persona: Persona) -> User:
    """Return a persona who is not reported, with all their data."""
    return User(persona.id, persona.profile, tuple(each.opinion for each in persona.questions))


@dataclass(frozen=True, slots=True)
class Parts:
    """The questions of a persona in two parts, neither of them empty.

    Args:
        persona: the persona.
        learned: the questions to learn from.
        asked: all questions that may be asked.
        left_out: number of questions in neither part.
    """

    persona: Persona
    learned: tuple[PersonaQuestion, ...]
    asked: tuple[PersonaQuestion, ...]
    left_out: int

    def case(self, options: TaskOptions) -> Case:
        """Return the case of the persona."""
        asked = shuffled(self.asked, "asked", options.seed, self.persona.id)[: options.test]
        if options.history == "texts":
            user = User(self.persona.id, self.persona.profile, texts=self.texts(options.train))
        else:
            user = User(self.persona.id, self.persona.profile, tuple(each.opinion for each in self.learned))
        return Case(user, tuple(each.opinion for each in asked))

    def texts(self, most: int) -> tuple[str, ...]:
        """Return the persona's last messages of every context before anything of it is asked, at most `most`."""
        ends: dict[str, int] = {}
        for each in self.learned:
            ends[each.context] = max(each.end, ends.get(each.context, 0))
        first: dict[str, int] = {}
        for each in self.asked:
            first[each.context] = min(each.end, first.get(each.context, each.end))
        ends |= first
        said = (text for context, end in ends.items() for text in self.persona.contexts[context].said_before(end))
        return tuple(dict.fromkeys(said))[-most:]


def parts_of(persona: Persona, options: TaskOptions) -> Parts | None:
    """Return the parts of a persona's questions; None if there is nothing to learn from before what is asked."""
    points = _points(persona, options.seed)
    learned: list[PersonaQuestion] = []
    used = 0
    for point in points[:-1]:  # the last point is always asked
        if len(learned) >= options.train:
            break
        learned += shuffled(point, "point", options.seed, persona.id)[: options.train - len(learned)]
        used += 1
    later = (each for point in points[used:] for each in point)
    asked = tuple({same_question_key(each.opinion.question): each for each in later}.values())
    messages = {each.message for each in asked}
    kept = tuple(each for each in learned if each.message not in messages)
    parts = Parts(persona, kept, asked, len(persona.questions) - len(kept) - len(asked))
    known = parts.texts(options.train) if options.history == "texts" else kept
    return parts if kept and known else None


def _points(persona: Persona, seed: int) -> list[Sequence[PersonaQuestion]]:
    """Return the questions by the point at which they are asked, in order."""
    contexts = shuffled(tuple(persona.contexts), "contexts", seed, persona.id)
    place = {context: index for index, context in enumerate(contexts)}

    def point(question: PersonaQuestion) -> tuple[int, int]:
        return place[question.context], question.end

    return [tuple(group) for _, group in groupby(sorted(persona.questions, key=point), key=point)]


def _notes(read: PersonaMem, usable: Sequence[Parts], skipped: int, options: TaskOptions) -> tuple[str, ...]:
    notes = [f"PersonaMem's questions of the size {read.size}, without the conversations."]
    if options.history == "texts":
        notes = [
            f"PersonaMem's questions of the size {read.size}, with at most {options.train} of a person's messages."
        ]
    short = sum(len(each.learned) < options.train for each in usable)
    if short:
        notes.append(f"{short} of {len(usable)} people have fewer than {options.train} questions to learn from.")
    if left_out := sum(each.left_out for each in usable):
        notes.append(
            f"{left_out} questions are neither learned from nor asked, because they belong to a point of which others "
            "are learned from, or repeat what is asked."
        )
    if skipped:
        notes.append(f"{skipped} people were skipped because there is nothing to learn from before what is asked.")
    return (*notes, *replaced_note(read.replaced), *cut_note(read.cut))


PERSONAMEM = Task(
    NAME,
    "PersonaMem: responses that fit people known from conversations",
    "Folder of bowen-upenn/PersonaMem with questions_32k.csv and shared_contexts_32k.jsonl, or a questions file.",
    load_personamem,
)
