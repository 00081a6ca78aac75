"""Reading of a reply: the choice that it names, or None if it names none, several, or none clearly.

    1. the whole reply is a choice, its number or letter, or words that stand for it
    2. what a structure marks: JSON, XML, \\boxed{…}, a ticked box
    3. what a final answer's phrase marks: "Final answer: …", then "The answer is …", then "All in all, …"
    4. a line, or the last sentence, that is nothing but a choice
    5. a letter: "B. …", "Option B"
    6. mentions in running text: one choice is asserted, and every other one that occurs is clearly set apart
    7. a first clause that is a long part of one choice, or all of it but what stands in brackets

The first of these that says something decides, even if it says that the reply is unreadable. See
docs/reading-answers.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from idiolect.methods.reading.choice_forms import ChoiceForms, forms_of, number_in, words_in
from idiolect.methods.reading.final_answers import ANSWER, CONCLUSION, FINAL, Marked, marked_in
from idiolect.methods.reading.forms import plain
from idiolect.methods.reading.labels import labels_in, leading_number, negates, numbers_in, whole_label
from idiolect.methods.reading.passages import Passage
from idiolect.methods.reading.resolution import refuses, repeated, resolved
from idiolect.methods.reading.standing import mentions_in
from idiolect.methods.reading.whole_replies import close_choice, exact_choice, only_choice_with
from idiolect.methods.reading.wrappings import unwrapped
from idiolect.people.user import Question

_MOST_CHARACTERS = 8_000
_LAST_CHARACTERS = 2_000
_LONG_PART = 3  # words
_KNOWS_NOT = frozenset(("not", "know"))
_NEXT_QUESTION = re.compile(r"\n\s*(?:#+\s*)?(?:Question|Q|Instruction|Input|User|Human)\s*\d*\s*:", re.IGNORECASE)
_SCALE = re.compile(
    r"\b(?:(?:on|using)\s+)?(?:a|the|this|your)?\s*(?:scale|range)\s*(?:of|from|:)?\s*\(?\d{1,3}\s*(?:-|to|through|and)\s*\d{1,3}\)?"
    r"|\bfrom\s+\d{1,3}\s+to\s+\d{1,3}\b|\b\d{1,3}\s*(?:-|to)\s*\d{1,3}\s+scale\b",
    re.IGNORECASE,
)
_AROUND = " \n\t\"'*.,;:!()[]{}<>-~`"
_ASKS = re.compile(r"[^.!\n]{0,200}\?")
_ITEM = re.compile(r"\W*(?:[A-Za-z]|\d{1,2})[.):]\s")
_LABELLED_LINE = re.compile(r"\W*([A-Za-z])[.):]\s+(.+)")
_ASKED_NEXT = re.compile(r"\s*\n?[^\n]{1,300}\?[ \t]*(?:\n|$)")
_OPTIONS = re.compile(r"\((?:the )?(?:options|choices)\s*:[^()\n]*\)", re.IGNORECASE)
_LABEL = re.compile(r"\W*(?:\w|\d{1,2})\W*")
_CLOSING = re.compile(
    r",?\s+(?:then|please|thanks|thank you|i guess|i think|i suppose|definitely|of course|though|for sure)\W*$",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:a|an|the|my)\s+", re.IGNORECASE)
_RANKED = re.compile(r"(?:^|\s)\(?\d{1,2}[.)]\s")
_CORRECTION = re.compile(
    r"\b(?:wait|actually|correction|on second thought|let me reconsider|scratch that)\b", re.IGNORECASE
)


def read_choice(reply: str, question: Question) -> str | None:
    """Return the choice that a generated reply names, or None if it names none, several, or none clearly.

    Args:
        reply: the model's text without its thoughts (`models.thoughts`).
        question: the question, with choices.

    Raises:
        ValueError: the question has no choices.
    """
    if not question.choices:
        raise ValueError("question has no choices to read")
    place = exact_choice(reply, question.choices)
    if place is None:
        place = _Reader(forms_of(question.choices), question).read(reply)
    return None if place is None else question.choices[place]


@dataclass(frozen=True, slots=True)
class _Read:
    """What a part of a reply says: a choice, or (None) that nothing can be read, if `said` anything at all."""

    choice: int | None
    said: bool


_SILENT = _Read(None, said=False)
_UNREADABLE = _Read(None, said=True)


def _found(choice: int | None) -> _Read:
    return _Read(choice, said=choice is not None)


class _Reader:
    def __init__(self, forms: ChoiceForms, question: Question) -> None:
        self._forms = forms
        self._question = frozenset(words_in(question.text))

    def read(self, reply: str) -> int | None:
        """Return the index of the choice that the reply names."""
        if len(reply) > _MOST_CHARACTERS:
            return self._read_end(reply)
        bare = unwrapped(reply)
        if bare.marked:
            return _agreed([self._segment(each) for each in bare.marked])
        text = plain(bare.text).strip()
        text = self._without_more_questions(text)
        if bare.structured:
            return self._whole(text)
        text = _SCALE.sub(" ", text).strip() or text
        return next((found.choice for found in self._by_rule(text) if found.said), None)

    def _without_more_questions(self, text: str) -> str:
        """Return the text up to a next question, if the model goes on with one, and without options in brackets."""
        following = _NEXT_QUESTION.search(text)
        if following and text[: following.start()].strip():
            text = text[: following.start()]
        first, _, rest = text.partition("\n")
        if _ASKED_NEXT.match(rest) and self._bare_line(first) is not None:
            return first
        return _OPTIONS.sub("", text).strip() or text

    def _read_end(self, reply: str) -> int | None:
        """Return the choice that a final answer's phrase marks at the end of a very long reply."""
        passage = Passage.of(plain(unwrapped(reply[-_LAST_CHARACTERS:]).text))
        found = (self._marked(passage, rank) for rank in (FINAL, ANSWER))
        return next((each.choice for each in found if each.said), None)

    def _by_rule(self, text: str) -> Iterator[_Read]:
        yield _found(self._whole(text))
        passage = Passage.of(text)
        for rank in (FINAL, ANSWER, CONCLUSION):
            yield self._marked(passage, rank)
        yield self._lines(text)
        yield self._last_sentence(passage)
        yield self._labelled(passage, 0, len(text))
        yield self._mentioned(passage, 0, len(passage.tokens))
        yield self._part_first(passage)

    def _segment(self, text: str) -> _Read:
        """Read a text that is meant as an answer."""
        text = plain(text).strip()
        whole = self._whole(text)
        if whole is not None:
            return _found(whole)
        passage = Passage.of(text)
        labelled = self._labelled(passage, 0, len(text))
        found = labelled if labelled.said else self._mentioned(passage, 0, len(passage.tokens))
        return found if found.said else _UNREADABLE

    def _whole(self, text: str) -> int | None:
        """Return the choice that a whole text is: its words, number, letter, or a part that stands for it."""
        forms = self._forms
        found = exact_choice(text, forms.choices)
        if found is None:
            found = forms.words.get(words_in(text))
        if found is not None:
            return None if found < 0 else found
        number = number_in(text)
        if number is not None:
            return forms.of_number(number)
        label = whole_label(text, forms)
        if label is not None:
            return label
        part = forms.parts.get(words_in(_ARTICLE.sub("", text)))
        if part is None:
            part = close_choice(text, forms.choices)
        return only_choice_with(text, forms.choices) if part is None else part

    def _marked(self, passage: Passage, rank: int) -> _Read:
        """Read what the phrases of a rank mark. If they disagree, the last one counts after a correction only."""
        spans = marked_in(passage.text, rank)
        if rank == CONCLUSION:
            spans = spans[-1:]
        said = [(span, found) for span in spans if (found := self._span(passage, span)).said]
        if not said:
            return _SILENT
        if len(said) == 1 and self._goes_on_as_list(passage.text[said[0][0].end :], said[0][1].choice):
            return _UNREADABLE
        if len({found.choice for _, found in said}) == 1:
            return said[-1][1]
        between = passage.text[said[0][0].start : said[-1][0].start]
        return said[-1][1] if _CORRECTION.search(between) else _UNREADABLE

    def _goes_on_as_list(self, text: str, choice: int | None) -> bool:
        """Return whether the next line is nothing but another choice, so that the mark stands before a list."""
        line = next((line for line in text.splitlines() if line.strip(_AROUND)), "")
        return choice is not None and self._bare_line(line) not in (None, choice)

    def _span(self, passage: Passage, span: Marked) -> _Read:
        text = passage.text[span.start : span.end]
        whole = self._whole(text)
        if whole is not None:
            return _found(whole)
        if _ASKS.match(text):
            return _SILENT
        found = self._labelled(passage, span.start, span.end)
        if found.said:
            return found
        places = [place for place, token in enumerate(passage.tokens) if span.start <= token.start < span.end]
        first = [place for place in places if passage.sentences[place] == passage.sentences[places[0]]]
        for part in (first, places):
            found = self._mentioned(passage, part[0], part[-1] + 1) if part else _SILENT
            if found.said:
                return found
        return _UNREADABLE if span.explicit and text.strip(_AROUND) else _SILENT

    def _lines(self, text: str) -> _Read:
        """Read lines that are nothing but a choice: the last one, or the first one, if it is the only one."""
        lines = [line for line in text.splitlines() if line.strip(_AROUND)]
        if len(lines) < 2:
            return _SILENT
        listed = [_ITEM.match(line) is not None for line in lines]
        if sum(listed) > 1 and not listed[-1]:  # a list of the choices, then "I choose B"
            labelled = self._labelled(Passage.of(lines[-1]), 0, len(lines[-1]))
            if labelled.said:
                return labelled
        bare = [self._bare_line(line) for line in lines]
        named = {choice for choice in bare if choice is not None}
        if len(named) == 1 and (bare[0] is not None or bare[-1] is not None):
            return _found(named.pop())
        return _UNREADABLE if len(named) > 1 else _SILENT

    def _last_sentence(self, passage: Passage) -> _Read:
        """Read a last sentence that is nothing but a choice, unless the first one is nothing but another choice."""
        sentences = passage.sentence_texts()
        if len(sentences) < 2 or _LABEL.fullmatch(sentences[-2]):  # the last item of a list
            return _SILENT
        first, last = self._bare_line(sentences[0]), self._bare_line(_CLOSING.sub("", sentences[-1]))
        introduction, colon, named = sentences[-1].rpartition(":")
        if colon and last is None and not negates(introduction):
            last = self._bare_line(named)
        if last is None or sentences[-1].rstrip().endswith("?"):
            return _SILENT
        return _UNREADABLE if first not in (None, last) else _found(last)

    def _bare_line(self, line: str) -> int | None:
        found = self._forms.words.get(words_in(line))
        if found is not None:
            return found if found >= 0 else None
        labelled = _LABELLED_LINE.match(line)
        if labelled:
            found = self._forms.words.get(words_in(labelled[2]), -1)
            return found if found >= 0 and self._forms.of_letter(labelled[1]) == found else None
        number = number_in(line) if self._forms.numbers else None
        return whole_label(line, self._forms) if number is None else self._forms.of_number(number)

    def _labelled(self, passage: Passage, start: int, end: int) -> _Read:
        """Read a letter at the beginning, or "option B" within; words that name another choice contradict it."""
        letters, rest = labels_in(passage.text[start:end])
        places = {self._forms.of_letter(letter) for letter in letters}
        if not self._forms.numbers and not self._forms.mixes_numbers:
            places |= {self._forms.of_number(number) for number in numbers_in(passage.text[start:end])}
        if not places or None in places:
            return _SILENT
        if len(places) > 1 or (not rest and negates(passage.text[start:end])):
            return _UNREADABLE
        tokens = [place for place, token in enumerate(passage.tokens) if start + rest <= token.start < end]
        named = mentions_in(passage, self._forms, self._question, tokens[0], tokens[-1] + 1) if tokens else []
        if {each.choice for each in named if each.standing == "asserted"} - places:
            return _UNREADABLE
        return _found(places.pop())

    def _mentioned(self, passage: Passage, first: int, last: int) -> _Read:
        named = mentions_in(passage, self._forms, self._question, first, last)
        said_again = repeated(passage, named) if first == 0 else None
        if said_again is not None:
            return _found(said_again)
        if all(each.standing == "incidental" for each in named):
            return _SILENT
        if len({each.choice for each in named}) > 1 and len(_RANKED.findall(passage.text)) > 1:
            return _UNREADABLE
        choice = resolved(passage, named, self._question)
        if choice is None or refuses(passage, named, choice) or self._is_numbered_otherwise(passage.text, choice):
            return _UNREADABLE
        return _found(choice)

    def _is_numbered_otherwise(self, text: str, choice: int) -> bool:
        """Return whether a number begins the text that is another choice's place."""
        number = leading_number(text)
        if number is None or self._forms.numbers:
            return False
        return self._forms.of_number(number) not in (None, choice)

    def _part_first(self, passage: Passage) -> _Read:
        """Read a first clause that is a long part of one choice."""
        end = next((place for place in range(len(passage.tokens)) if passage.is_boundary(place)), 0)
        first = words_in(passage.text[: passage.tokens[end].start]) if end else ()
        tells = (len(first) >= _LONG_PART or first in self._forms.heads) and not _KNOWS_NOT.issubset(first)
        return _found(self._forms.parts.get(first) if tells else None)


def _agreed(found: Sequence[_Read]) -> int | None:
    """Return the choice that all parts name; None if one is unreadable or they differ."""
    choices = {each.choice for each in found}
    return choices.pop() if len(choices) == 1 else None
