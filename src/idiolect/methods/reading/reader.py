"""Reading of a reply: the choice that it names, or None if it names none, several, or none clearly.

    1. the whole reply is a choice, its number or letter, or words that stand for it
    2. what a structure marks: JSON, XML, \\boxed{…}, a ticked box
    3. what a final answer's phrase marks: "Final answer: …", then "The answer is …", then "All in all, …"
    4. a line that is nothing but a choice
    5. mentions in running text: exactly one choice is asserted, and every other one that occurs is clearly set apart

The first of these that says something decides, even if it says that the reply is unreadable. See
docs/reading-answers.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from idiolect.methods.reading import vocabulary as words
from idiolect.methods.reading.choice_forms import ChoiceForms, close_choice, exact_choice, forms_of, number_in, words_in
from idiolect.methods.reading.final_answers import ANSWER, CONCLUSION, FINAL, Marked, marked_in
from idiolect.methods.reading.forms import plain
from idiolect.methods.reading.mentions import Mention, is_called_the_answer, mentions_in
from idiolect.methods.reading.passages import Passage
from idiolect.methods.reading.wrappings import unwrapped
from idiolect.people.user import Question

_MOST_CHARACTERS = 8_000
_LAST_CHARACTERS = 2_000
_LONG_PART = 3  # words
_NEXT_QUESTION = re.compile(r"\n\s*(?:Question|Q)\s*\d*\s*:", re.IGNORECASE)
_AROUND = " \n\t\"'*.,;:!()[]{}<>-~`"
_LABEL = re.compile(
    r"^[\s\"'(\[{<]*(?:(?:option|choice|letter|answer|category)\s+)?[\s\"'(\[{]*([A-Za-z])[\s\"')\]}>.,:;!]*$", re.I
)
_NUMBERED = re.compile(
    r"^[\s\"'(\[]*(?:(?:option|choice|answer|number|no\.|item)\s*#?|#)\s*(\d{1,2})[\s\"')\].!]*$", re.I
)
_RANKED = re.compile(r"(?:^|\s)\(?\d{1,2}[.)]\s")
_NUMBER_FIRST = re.compile(r"^[\s\"'(\[]*(\d{1,2})[.):](?=[\s\"])")
_LABEL_FIRST = re.compile(
    r"^[\s\"'(\[]*(?:(?:option|choice|letter|answer|category)\s+)?[\"'(\[]*([A-Za-z])\"?(?:([)\].:,])\"?(?=[\s\"]|$)|\s+(-)\s|\s*\n|\s+\(|\s+(?=because\b))",
    re.I,
)
_LABEL_WITHIN = re.compile(r"\b(?:option|choice|letter|answer|category)\s+[\"(]*([A-Z])[\")]*(?![\w'])|\(([A-Z])\)")
_COMMITTED_LABEL = re.compile(
    r"\b(?:choose|pick|select|say|answer|take|go with|going with|is|be)\s+[\"(]*([A-Z])[\")]*(?=\s*(?:[.,;:!\n]|$)|\s+because\b)"
)
_CORRECTION = re.compile(r"\b(?:wait|actually|correction|on second thought|let me reconsider|scratch that)\b", re.I)


def read_choice(reply: str, question: Question) -> str | None:
    """Return the choice that a generated reply names, or None if it names none, several, or none clearly.

    Args:
        reply: the model's text without its thoughts.
        question: the question, with choices.

    Raises:
        ValueError: the question has no choices.
    """
    if not question.choices:
        raise ValueError("question has no choices to parse")
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


class _Reader:
    def __init__(self, forms: ChoiceForms, question: Question) -> None:
        self._forms, self._question = forms, question
        self._words = frozenset(words_in(question.text))

    def read(self, reply: str) -> int | None:
        """Return the index of the choice that the reply names."""
        if len(reply) > _MOST_CHARACTERS:
            return self._read_end(reply)
        bare = unwrapped(reply)
        if bare.marked:
            return _agreed([self._segment(each) for each in bare.marked])
        text = plain(bare.text).strip()
        following = _NEXT_QUESTION.search(text)
        if following and text[: following.start()].strip():
            text = text[: following.start()]
        if bare.structured:
            return self._whole(text)
        for found in self._by_rule(text):
            if found.said:
                return found.choice
        return None

    def _read_end(self, reply: str) -> int | None:
        """Return the choice that a final answer's phrase marks at the end of a very long reply."""
        passage = Passage.of(plain(unwrapped(reply[-_LAST_CHARACTERS:]).text))
        for rank in (FINAL, ANSWER):
            found = self._marked(passage, rank)
            if found.said:
                return found.choice
        return None

    def _by_rule(self, text: str) -> Iterator[_Read]:
        whole = self._whole(text)
        yield _Read(whole, said=whole is not None)
        passage = Passage.of(text)
        for rank in (FINAL, ANSWER, CONCLUSION):
            yield self._marked(passage, rank)
        yield self._lines(text)
        yield self._labelled(passage, 0, len(text))
        yield self._mentioned(passage, 0, len(passage.tokens))
        yield self._part_first(passage)

    def _part_first(self, passage: Passage) -> _Read:
        """Read a first clause that is a long part of one choice."""
        end = next((place for place in range(len(passage.tokens)) if passage.is_boundary(place)), 0)
        words_first = words_in(passage.text[: passage.tokens[end].start]) if end else ()
        part = self._forms.parts.get(words_first) if len(words_first) >= _LONG_PART else None
        return _Read(part, said=part is not None)

    def _segment(self, text: str) -> _Read:
        """Read a text that is meant as an answer."""
        text = plain(text).strip()
        whole = exact_choice(text, self._forms.choices)
        whole = self._whole(text) if whole is None else whole
        if whole is not None:
            return _Read(whole, said=True)
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
        label = _LABEL.match(text)
        if label:
            return forms.of_letter(label[1])
        numbered = _NUMBERED.match(text)
        if numbered:
            return forms.of_number(float(numbered[1]))
        part = forms.parts.get(words_in(text))
        return close_choice(text, forms.choices) if part is None else part

    def _marked(self, passage: Passage, rank: int) -> _Read:
        """Read what the phrases of a rank mark. If they disagree, the last one counts after a correction only."""
        spans = marked_in(passage.text, rank)
        if not spans:
            return _SILENT
        if rank == CONCLUSION:
            spans = spans[-1:]
        read = [(span, self._span(passage, span)) for span in spans]
        said = [(span, found) for span, found in read if found.said]
        if not said:
            return _SILENT
        choices = {found.choice for _, found in said}
        if len(choices) == 1:
            return said[-1][1]
        between = passage.text[said[0][0].start : said[-1][0].start]
        return said[-1][1] if _CORRECTION.search(between) else _UNREADABLE

    def _span(self, passage: Passage, span: Marked) -> _Read:
        text = passage.text[span.start : span.end]
        whole = self._whole(text)
        if whole is not None:
            return _Read(whole, said=True)
        if re.match(r"[^.!\n]{0,200}\?", text):
            return _SILENT
        found = self._labelled(passage, span.start, span.end)
        if found.said:
            return found
        places = [i for i, token in enumerate(passage.tokens) if span.start <= token.start < span.end]
        if places:
            sentence = passage.sentences[places[0]]
            first = [place for place in places if passage.sentences[place] == sentence]
            for part in (first, places):
                found = self._mentioned(passage, part[0], part[-1] + 1)
                if found.said:
                    return found
        return _UNREADABLE if span.explicit and text.strip(_AROUND) else _SILENT

    def _lines(self, text: str) -> _Read:
        """Read lines that are nothing but a choice: the last one, or the first one, if it is the only one."""
        lines = [line for line in text.splitlines() if line.strip(_AROUND)]
        if len(lines) < 2:
            return _SILENT
        bare = [self._bare_line(line) for line in lines]
        named = {choice for choice in bare if choice is not None}
        if len(named) == 1 and (bare[0] is not None or bare[-1] is not None):
            return _Read(named.pop(), said=True)
        return _UNREADABLE if len(named) > 1 else _SILENT

    def _bare_line(self, line: str) -> int | None:
        found = self._forms.words.get(words_in(line))
        if found is None:
            label, number = _LABEL.match(line), number_in(line)
            found = self._forms.of_letter(label[1]) if label else None
            if number is not None and self._forms.numbers:
                found = self._forms.of_number(number)
        return None if found is None or found < 0 else found

    def _labelled(self, passage: Passage, start: int, end: int) -> _Read:
        """Read a letter at the beginning, or "option B" within; words that name another choice contradict it."""
        text = passage.text[start:end]
        letters = {found[1] or found[2] for found in _LABEL_WITHIN.finditer(text)}
        letters |= {found[1] for found in _COMMITTED_LABEL.finditer(text) if found[1] not in "IA" or "." in text}
        opening = _LABEL_FIRST.match(text)
        rest = 0
        if opening and _is_label(opening, text):
            letters.add(opening[1].upper())
            rest = opening.end()
        places = {self._forms.of_letter(letter) for letter in letters}
        if not places or None in places:
            return _SILENT
        if len(places) > 1 or _lists_letters(text[rest:]):
            return _UNREADABLE
        (choice,) = places
        tokens = [i for i, token in enumerate(passage.tokens) if start + rest <= token.start < end]
        if tokens:
            named = mentions_in(passage, self._forms, self._words, tokens[0], tokens[-1] + 1)
            others = {each.choice for each in named if each.standing == "asserted"} - {choice}
            if others:
                return _UNREADABLE
        if not rest and _negates(text):
            return _UNREADABLE
        return _Read(choice, said=True)

    def _mentioned(self, passage: Passage, first: int, last: int) -> _Read:
        named = mentions_in(passage, self._forms, self._words, first, last)
        repeated = _repeated(passage, named) if first == 0 else None
        if repeated is not None:
            return _Read(repeated, said=True)
        if not [each for each in named if each.standing != "incidental"]:
            return _SILENT
        if len({each.choice for each in named}) > 1 and len(_RANKED.findall(passage.text)) > 1:
            return _UNREADABLE
        choice = _resolved(passage, named, self._words)
        opening = _NUMBER_FIRST.match(passage.text)
        if choice is not None and opening and float(opening[1]) != 1:
            numbered = self._forms.of_number(float(opening[1]))
            if not self._forms.numbers and numbered not in (None, choice):
                return _UNREADABLE
        if choice is not None and (_refuses(passage, named, choice) or _chatters(passage)):
            return _UNREADABLE
        return _Read(choice, said=True)


def _agreed(found: Sequence[_Read]) -> int | None:
    """Return the choice that all parts name; None if one is unreadable or they differ."""
    choices = {each.choice for each in found}
    return choices.pop() if len(choices) == 1 else None


def _is_label(found: re.Match[str], text: str) -> bool:
    """Return whether an opening letter is a label, not a word ("A", "I") or an abbreviation."""
    letter, mark = found[1], found[2]
    if mark in (")", "]"):
        return True
    if mark == ":" and letter in "Aa":  # "A:" announces an answer
        return False
    if mark == "," and letter == "I":
        return False
    return letter.isupper() or mark == "." or bool(re.match(r"^[\s\"'(\[]*\w[\s\"')\]]*\n", text))


def _lists_letters(rest: str) -> bool:
    return (
        re.match(r"^[\s\"]*(?:(?:and|or|&|/|,)\s*)?[\"(]*[A-Z][\")]*(?:[\s,.;)]|$)(?!\s*[a-z])", rest) is not None
        and rest.strip() != ""
    )


def _negates(text: str) -> bool:
    return any(word in words.NEGATORS for word in words_in(text))


def _repeated(passage: Passage, named: Sequence[Mention]) -> int | None:
    """Return the choice whose words, repeated, are all that the passage says."""
    covered = sum(each.last - each.first + 1 for each in named)
    said = sum(token.kind != "mark" for token in passage.tokens)
    choices = {each.choice for each in named}
    return choices.pop() if len(choices) == 1 and covered >= said and min(each.choice for each in named) >= 0 else None


def _coordinated(passage: Passage, named: Sequence[Mention]) -> list[Mention]:
    """Return the mentions; an incidental one that "or", "and", "/" or a comma joins to an asserted one is asserted."""
    found = list(named)
    for _ in range(2):
        for place, each in enumerate(found):
            for other in found[max(place - 1, 0) : place + 2]:
                if _common(passage, each) and not _ends_clause(passage, each):
                    continue
                if each.standing == "incidental" and other.standing == "asserted" and _joined(passage, each, other):
                    found[place] = replace(each, standing="asserted")
    return found


def _ends_clause(passage: Passage, mention: Mention) -> bool:
    following = passage.tokens[mention.last + 1] if mention.last + 1 < len(passage.tokens) else None
    return following is None or following.kind == "mark" or following.text in words.COORDINATORS


def _joined(passage: Passage, one: Mention, other: Mention) -> bool:
    first, last = sorted((one, other), key=lambda each: each.first)
    between = [passage.tokens[place].text for place in range(first.last + 1, last.first)]
    rest = [text for text in between if text not in ("a", "an", "the", "my", '"', "maybe", "even", "also")]
    return bool(between) and all(text in words.COORDINATORS for text in rest)


def _resolved(passage: Passage, named: Sequence[Mention], question: frozenset[str]) -> int | None:
    """Return the only choice that the mentions assert, if all others are clearly set apart from it."""
    named = _coordinated(passage, named)
    if len(named) > 1 and named[0].standing == "asserted":
        compared = _compared(passage, named)
        if compared is not None:
            return compared.choice if compared.choice >= 0 else None
    listed = _chosen_from_list(passage, named)
    if listed is not None:
        return listed
    asserted = [each for each in named if each.standing == "asserted"]
    choices = {each.choice for each in asserted}
    if not asserted or -1 in choices:
        return None
    if len(choices) > 1:
        asserted = _committed(passage, asserted, question)
        choices = {each.choice for each in asserted}
        if len(choices) != 1:
            return None
    (choice,) = choices
    if all(each.reported for each in asserted):
        return None
    for each in named:
        if each.standing == "incidental" and each.choice != choice and not _common(passage, each):
            if any(_interferes(passage, each, one) for one in asserted):
                return None
        if each.standing not in ("negated", "aside") or each.excluded:
            continue
        nearest = min(asserted, key=lambda one: abs(one.first - each.first))
        if each.choice == choice:
            if each.standing == "negated" and not (nearest.alone and nearest.first > each.last):
                return None
        elif not _set_apart(passage, each, nearest):
            return None
    return choice


def _set_apart(passage: Passage, other: Mention, asserted: Mention) -> bool:
    """Return whether a sentence's end, a contrast or a colon stands between two mentions (for an aside: a comma)."""
    if passage.sentences[other.first] != passage.sentences[asserted.first]:
        return True
    first, last = sorted((other, asserted), key=lambda each: each.first)
    between = [passage.tokens[place] for place in range(first.last + 1, last.first)]
    if other.standing == "aside":
        return any(token.text in words.CONTRASTS or token.text in ",;:-" for token in between)
    return any(token.text in words.CONTRASTS or token.text == ":" for token in between)


def _interferes(passage: Passage, other: Mention, asserted: Mention) -> bool:
    """Return whether an incidental mention stands in the same sentence, and not only in a reason given afterwards."""
    if passage.sentences[other.first] != passage.sentences[asserted.first]:
        return False
    if other.last < asserted.first and _decides(passage, asserted):
        return False
    between = {passage.tokens[place].text for place in range(asserted.last + 1, other.first)}
    return not between & words.JOINTS


def _common(passage: Passage, mention: Mention) -> bool:
    return mention.first == mention.last and passage.tokens[mention.first].text in words.COMMON


def _chosen_from_list(passage: Passage, named: Sequence[Mention]) -> int | None:
    """Return the choice that stands alone at the end, if a list of choices begins the reply ("Of A and B, B")."""
    first = passage.tokens[0].text if passage.tokens else ""
    last = named[-1]
    listed = {each.choice for each in named[:-1]}
    if first not in ("of", "between", "out", "from", "among") or len(listed) < 2 or last.choice not in listed:
        return None
    return last.choice if last.standing == "asserted" and last.choice >= 0 else None


def _committed(passage: Passage, asserted: Sequence[Mention], question: frozenset[str]) -> list[Mention]:
    """Return the mentions that the speaker decides for: the last, in the first person, after all others."""
    named_answer = [each for each in asserted if is_called_the_answer(passage, each, question)]
    if len({each.choice for each in named_answer}) == 1:
        return named_answer
    strong = [each for each in asserted if not each.weak]
    if len({each.choice for each in strong}) == 1 and all(
        passage.sentences[each.first] != passage.sentences[one.first]
        for each in asserted
        if each.weak and each.choice != strong[0].choice
        for one in strong
    ):
        return strong
    own = [each for each in asserted if _decides(passage, each)]
    if not own or len({each.choice for each in own}) > 1:
        return []
    others = [each for each in asserted if each.choice != own[0].choice]
    return own if all(each.last < own[-1].first for each in others) else []


def _decides(passage: Passage, mention: Mention) -> bool:
    places = passage.before(mention.first)
    if mention.alone:
        places = (place for place in passage.sentence_of(mention.first) if place < mention.first)
    said = [passage.tokens[place].text for place in places]
    if any(word in words.CONCLUDING for word in said[-1:]):
        return True
    committing = any(word in words.COMMITTING or word in words.ANSWER_NOUNS for word in said)
    return committing and any(word in words.FIRST_PERSON for word in said)


def _compared(passage: Passage, asserted: Sequence[Mention]) -> Mention | None:
    """Return the first mention if each following one is only compared with it ("Tea > Coffee", "tea, then coffee")."""
    first, *others = asserted
    before = first
    for other in others:
        between = tuple(
            token.text
            for place in range(before.last + 1, other.first)
            if (token := passage.tokens[place]).text not in ',"-;' and token.text not in ("a", "the", "an", "my")
        )
        if between not in words.COMPARING and not (between == ("to",) and _prefers(passage, first)):
            return None
        before = other
    return first


def _prefers(passage: Passage, mention: Mention) -> bool:
    return any(passage.tokens[place].text in ("prefer", "prefers") for place in passage.before(mention.first))


def _chatters(passage: Passage) -> bool:
    """Return whether the reply is an assistant's talk with somebody who asked nothing."""
    said = passage.words(range(len(passage.tokens)))
    return any(f" {phrase} " in said for phrase in words.CHATTER)


def _refuses(passage: Passage, named: Sequence[Mention], choice: int) -> bool:
    """Return whether the sentence that names the choice is a refusal to choose."""
    for each in named:
        if each.choice == choice and each.standing == "asserted":
            sentence = passage.words(passage.sentence_of(each.first))
            if not any(f" {phrase} " in sentence for phrase in words.REFUSING):
                return False
    return True
