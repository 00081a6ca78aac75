"""Mentions of choices in a passage, and how each stands there.

    passage, forms → find → mentions → judged: asserted, negated, aside (a question, another person's, a condition),
                                       incidental (the words occur, but name no answer)

A longer choice wins over a shorter one inside it, so "Satisfied" is not found in "Not satisfied".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from idiolect.methods.reading import unspaced
from idiolect.methods.reading import vocabulary as words
from idiolect.methods.reading.choice_forms import NUMBER_WORDS, ChoiceForms, counts, number_in
from idiolect.methods.reading.passages import Passage

Standing = Literal["asserted", "negated", "aside", "incidental"]
_NEAR = 4  # tokens before a mention among which an answering verb is looked for
_SKIPPABLE = frozenset(",/-()\"':&;|")
_MOST_MENTIONS = 400
_OUT_OF = 2  # words
_SHORT = 4  # tokens


@dataclass(frozen=True, slots=True)
class Mention:
    """An occurrence of a choice's words.

    Args:
        choice: index of the choice; −1: several choices have these words.
        first, last: places of its first and last token.
        standing: how it stands in its sentence.
        alone: whether it is a clause of its own.
        excluded: whether the choice is ruled out on its own, such as by "rather than …" or "… would be wrong".
        reported: whether it is said of "him" or "her" by somebody who also speaks of themselves.
        weak: whether nothing around an asserted mention presents it as an answer.
    """

    choice: int
    first: int
    last: int
    standing: Standing = "asserted"
    alone: bool = False
    excluded: bool = False
    weak: bool = False
    reported: bool = False


def mentions_in(passage: Passage, forms: ChoiceForms, question: frozenset[str], first: int, last: int) -> list[Mention]:
    """Return the judged mentions among the tokens from `first` to before `last`, in order.

    Args:
        passage: the reply.
        forms: forms of the choices.
        question: the words of the question, which may be a number's unit.
        first, last: the part of the passage to search; judging looks beyond it.
    """
    judge = _Judge(passage, forms, question)
    return [judge.judged(found) for found in _found(passage, forms, first, last)]


def _found(passage: Passage, forms: ChoiceForms, first: int, last: int) -> list[Mention]:
    found: list[Mention] = []
    place = first
    while place < last and len(found) < _MOST_MENTIONS:
        mention = _match(passage, forms, place, last)
        if mention is None:
            place += 1
        else:
            if mention.choice != -2:
                found.append(mention)
            place = mention.last + 1
    return found


def _match(passage: Passage, forms: ChoiceForms, place: int, last: int) -> Mention | None:
    """Return the longest choice whose words begin here; `choice` −2 for a number that is none of the choices."""
    token = passage.tokens[place]
    for length in forms.first.get(token.text, ()):
        run = _run(passage, place, last, length)
        if run is not None:
            choice = forms.words.get(tuple(passage.tokens[each].text for each in run))
            if choice is not None and not _in_longer_word(passage, run[0], run[-1]):
                fraction = _fraction(passage, forms, place) if length == 1 else None
                return fraction or Mention(choice, run[0], run[-1])
    return _fraction(passage, forms, place)


def _run(passage: Passage, place: int, last: int, length: int) -> list[int] | None:
    """Return the places of `length` counting tokens from here, over commas and hyphens between them."""
    run: list[int] = []
    for each in range(place, last):
        token = passage.tokens[each]
        if counts(token):
            run.append(each)
            if len(run) == length:
                return run
        elif token.text not in _SKIPPABLE or (run and token.text == '"' and _opens(passage, each)):
            return None
    return None


def _opens(passage: Passage, place: int) -> bool:
    """Return whether a quotation mark opens a quotation."""
    start = passage.tokens[place].start
    return start == 0 or passage.text[start - 1] in " \n("


def _in_longer_word(passage: Passage, first: int, last: int) -> bool:
    """Return whether a hyphen joins the mention to another word, or its script has no boundary and its word goes on."""
    text, tokens = passage.text, passage.tokens
    if tokens[last].kind == "char":
        start_inside = first > 0 and _is_hangul(tokens[first].text) and tokens[first - 1].end == tokens[first].start
        started = start_inside and _is_hangul(tokens[first - 1].text)
        return started or unspaced.in_longer_word(text[tokens[last].end :][:1])
    start, end = tokens[first].start, tokens[last].end
    before = start > 1 and text[start - 1] == "-" and (text[start - 2].isalnum())
    after = end + 1 < len(text) and text[end] == "-" and text[end + 1].isalnum()
    return before or after


def is_called_the_answer(passage: Passage, mention: Mention, question: frozenset[str]) -> bool:
    """Return whether what follows calls the mention the answer ("… is my favourite", "… would be my answer")."""
    following = passage.words(range(mention.last + 1, min(mention.last + 9, len(passage.tokens))))
    for phrase in words.BACK_MARKS:
        if following.startswith(f" {phrase} "):
            rest = following[len(phrase) + 2 :].split()[:2]
            possessive = phrase.endswith(("my", "the best"))
            return not possessive or any(word in words.ANSWER_NOUNS or word in question for word in rest)
    return False


def _is_hangul(text: str) -> bool:
    return "가" <= text[:1] <= "힣"


def _fraction(passage: Passage, forms: ChoiceForms, place: int) -> Mention | None:
    """Return the mention of a number out of the greatest one ("4/5", "4 out of 5")."""
    tokens = passage.tokens
    token = tokens[place]
    if token.kind != "number" and token.text not in NUMBER_WORDS:
        return None
    follows = passage.text[token.end : token.end + 1]
    if (follows and follows in "+%") or (token.start and passage.text[token.start - 1] in "$€£"):
        return Mention(-2, place, place)
    number, slash, whole = token.text.partition("/")
    last = place
    ahead = [each for each in range(place + 1, min(place + 6, len(tokens))) if tokens[each].text not in ("(", '"')]
    if not slash and [tokens[each].text for each in ahead[:2]] == ["out", "of"] and len(ahead) > _OUT_OF:
        whole, last = tokens[ahead[2]].text, ahead[2]
    if not whole:
        return None
    value, greatest = number_in(number), number_in(whole)
    if value is None or greatest is None:
        return Mention(-2, place, last)
    top = max(forms.numbers) if forms.numbers else float(len(forms.choices))
    choice = forms.of_number(value) if greatest == top and not forms.mixes_numbers else None
    return Mention(-2 if choice is None else choice, place, last)


@dataclass(frozen=True, slots=True)
class _Judge:
    passage: Passage
    forms: ChoiceForms
    question: frozenset[str]

    def judged(self, mention: Mention) -> Mention:
        """Return the mention with its standing."""
        before = list(self.passage.before(mention.first))
        after = list(self.passage.after(mention.last))
        alone = not [place for place in self._said(before) if not self._opens_clause(place)] and not self._said(after)
        mention = replace(mention, alone=alone)
        if self.passage.tokens[mention.last].kind == "char":
            return self._judged_unspaced(mention, before, after)
        if self._in_idiom(mention) or self._opens_discourse(mention):
            return replace(mention, standing="incidental")
        negated, excluded = self._negated(mention, before, after)
        if self._aside(mention, before):
            return replace(mention, standing="aside")
        if negated:
            return replace(mention, standing="negated", excluded=excluded)
        if self._graded_otherwise(mention, before, after):
            return replace(mention, standing="aside")
        if not alone and not self._answers(mention, before, after):
            return replace(mention, standing="incidental")
        said = [self.passage.tokens[place].text for place in self._said(before)]
        reported = self._persona and not words.FIRST_PERSON & set(said) and bool(words.THIRD_PERSON & set(said))
        return replace(mention, reported=reported, weak=not alone and not self._led(before) and not self._starts(before))

    def _answers(self, mention: Mention, before: list[int], after: list[int]) -> bool:
        if self._english:
            return self._in_answering_place(mention, before, after)
        return self._is_polar_word_alone(mention, before, after)

    @property
    def _english(self) -> bool:
        said = {token.text for token in self.passage.tokens if token.kind == "word"}
        if not (said | self.question) & words.ENGLISH:
            return False
        foreign = said & words.FOREIGN or any(not word.isascii() for word in said)
        return not foreign or len(said & words.ENGLISH) > len(said & words.FOREIGN)

    def _is_polar_word_alone(self, mention: Mention, before: list[int], after: list[int]) -> bool:
        """Return whether the mention is not a word for yes or no within a sentence of another language."""
        tokens = self.passage.tokens
        if mention.first < mention.last or tokens[mention.first].text not in words.POLAR or mention.alone:
            return True
        said_before, said_after = self._said(before), self._said(after)
        if not said_before and tokens[mention.first].text in words.AFFIRMATIVES:
            return True
        ends = not said_after or tokens[said_after[0]].text in words.POLAR_LEADS
        led = not said_before or tokens[said_before[0]].text in words.POLAR_LEADS
        return ends and led

    def _opens_clause(self, place: int) -> bool:
        text = self.passage.tokens[place].text
        return text in words.OPENERS or text in words.CONTRASTS or text in words.JOINTS

    def _said(self, places: list[int]) -> list[int]:
        return [place for place in places if self.passage.tokens[place].kind != "mark"]

    def _judged_unspaced(self, mention: Mention, before: list[int], after: list[int]) -> Mention:
        text, tokens = self.passage.text, self.passage.tokens
        left = text[tokens[before[-1]].start : tokens[mention.first].start] if before else ""
        right = text[tokens[mention.last].end :]
        clause_right = text[tokens[mention.last].end : tokens[after[-1]].end] if after else ""
        if unspaced.negated_before(left) or unspaced.negated_after(right):
            return replace(mention, standing="negated")
        if mention.choice in self.forms.extended and unspaced.has_degree(left):
            return replace(mention, standing="aside")
        if any(other in left for other in words.OTHERS_ANYWHERE) or self._asks(mention):
            return replace(mention, standing="aside")
        short = mention.first == mention.last
        if short and not (
            unspaced.only_particles(clause_right)
            and (not left.strip(" \"'") or _is_hangul(text[tokens[mention.first].start]))
        ):
            return replace(mention, standing="incidental")
        return replace(mention, alone=mention.alone or not left.strip(" \"'"))

    def _asks(self, mention: Mention) -> bool:
        """Return whether the mention stands in a question, which is not all that is said."""
        places = self.passage.sentence_of(mention.first)
        return any(self.passage.tokens[place].text == "?" for place in places[-3:])

    def _in_idiom(self, mention: Mention) -> bool:
        tokens = self.passage.tokens
        window = self.passage.words(range(max(mention.first - 4, 0), min(mention.last + 6, len(tokens))))
        return any(f" {idiom} " in window and self._overlaps(mention, idiom) for idiom in words.IDIOMS)

    def _opens_discourse(self, mention: Mention) -> bool:
        """Return whether the mention is only an opening word with a comma behind it ("Well, …", "Right, …")."""
        tokens = self.passage.tokens
        if mention.first != mention.last or tokens[mention.first].text not in words.DISCOURSE:
            return False
        places = self.passage.sentence_of(mention.first)
        first = next(place for place in places if tokens[place].kind != "mark")
        comma = mention.last + 1 < len(tokens) and tokens[mention.last + 1].text == ","
        return first == mention.first and comma and len(places) > _SHORT

    def _overlaps(self, mention: Mention, idiom: str) -> bool:
        own = [self.passage.tokens[each].text for each in range(mention.first, mention.last + 1)]
        return all(each in idiom.split() for each in own)

    def _negated(self, mention: Mention, before: list[int], after: list[int]) -> tuple[bool, bool]:
        """Return whether the mention is negated, and whether that is by a comparison with another choice."""
        said = self._said(before)
        if said and self.passage.tokens[said[0]].text in ("too", "less", "least"):
            return True, False
        left = self.passage.words(reversed(before))
        for phrase in words.NEUTRAL_PHRASES:
            left = left.replace(f" {phrase} ", "  ")
        comparing = any(
            f" {' '.join(phrase)} " in left
            for phrase in (
                ("rather", "than"),
                ("instead", "of"),
                ("opposed", "to"),
                ("other", "than"),
                ("better", "than"),
                ("worse", "than"),
            )
        )
        if comparing:
            return True, True
        if any(f" {phrase} " in left for phrase in words.NEGATING_PHRASES):
            return True, False
        if any(word in words.NEGATORS for word in left.split()):
            return True, self._is_counterpart(mention, before)
        refuted = self._refuted(mention, after)
        return refuted, refuted

    def _is_counterpart(self, mention: Mention, before: list[int]) -> bool:
        """Return whether the clause is only "not …", directly behind a comma ("Agree, not strongly agree")."""
        said = [self.passage.tokens[place].text for place in self._said(before)]
        said = [word for word in said if word not in words.SKIPPED]
        return said == ["not"]

    def _refuted(self, mention: Mention, after: list[int]) -> bool:
        """Return whether what follows denies the mention ("… is not it", "… would be wrong", "… costs too much")."""
        tokens = self.passage.tokens
        said = [tokens[place].text for place in self._said(after)][:7]
        if not said:
            return False
        if said[0] in ("second", "third", "next", "not") and len(said) == 1:
            return True
        if said[0] in ("is", "was", "would", "does", "do", "did", "can", "could", "should", "seems", "are", "sounds"):
            head = said[1:5]
            return "not" in head or "too" in head or any(word in words.REFUTING for word in head)
        return "would be wrong" in " ".join(said)

    def _aside(self, mention: Mention, before: list[int]) -> bool:
        """Return whether it is a question's, a condition's or another person's."""
        if self._asks(mention) and not self._is_all(mention):
            return True
        tokens = self.passage.tokens
        said = [tokens[place].text for place in reversed(self._said(before))]
        if any(word in words.QUESTIONING for word in said):
            return True
        sentence = self.passage.words(self.passage.sentence_of(mention.first))
        opening = sentence.split()[:1]
        if opening and opening[0] in ("if", "unless", "suppose", "imagine") and " then " in sentence:
            return True
        supposed = any(f" {phrase} " in sentence for phrase in words.EARLIER + words.SUPPOSING)
        if supposed and not mention.alone and " now " not in sentence:
            return True
        if any(
            f" {phrase} " in sentence
            for phrase in ("you asked", "you ask", "you want to know", "one of", "options", "choose between")
        ):
            return True
        left = f" {' '.join(said)} "
        if any(f" {phrase} " in left for phrase in words.HEARSAY):
            return True
        past = any(word in ("was", "were", "used", "been") for word in said)
        if past and any(each.text in ("now", "nowadays", "currently") for each in tokens[mention.last :]):
            return True
        own = said and any(word in words.FIRST_PERSON for word in said[-3:])
        if said and said[0] in words.OTHERS and said[0] not in words.THIRD_PERSON and not own:
            return True
        if "might" in said or "could" in said or "may" in said:
            return True
        if said and said[0] in ("my", "our") and len(said) > 1 and not self._is_own_answer(said):
            return True
        return (
            any(word in words.KIN for word in said)
            and not (own and "my" not in said[-3:])
            and self._verb_follows_kin(said)
        )

    def _is_own_answer(self, said: list[str]) -> bool:
        """Return whether "my …" is an answer or what the question is about, and not another person or thing."""
        return any(word in words.ANSWER_NOUNS or word in words.COMMITTING or self._is_unit(word) for word in said[1:4])

    @property
    def _persona(self) -> bool:
        """Return whether somebody speaks of themselves, so that "he" and "she" are others."""
        said = [token.text for token in self.passage.tokens]
        if {"my", "mine", "myself"} & set(said):
            return True
        return any(one == "i" and other not in words.META for one, other in zip(said, said[1:], strict=False))

    def _verb_follows_kin(self, said: list[str]) -> bool:
        place = max(index for index, word in enumerate(said) if word in words.KIN)
        return any(self._is_telling(word) for word in said[place + 1 :])

    def _is_telling(self, word: str) -> bool:
        return word not in words.SKIPPED and word not in words.OPENERS and not word.endswith("ly")

    def _is_all(self, mention: Mention) -> bool:
        tokens = self.passage.tokens
        return all(
            tokens[place].kind == "mark" for place in range(len(tokens)) if not mention.first <= place <= mention.last
        )

    def _graded_otherwise(self, mention: Mention, before: list[int], after: list[int]) -> bool:
        """Return whether a degree stands before a choice that another one extends by a degree ("somewhat agree")."""
        if mention.choice not in self.forms.extended:
            return False
        said, following = self._said(before), self.passage.words(after).split()
        if (following and following[0] in words.DEGREES) or following[:3] == ["to", "some", "extent"]:
            return True
        return bool(said) and self.passage.tokens[said[0]].text in words.DEGREES

    def _in_answering_place(self, mention: Mention, before: list[int], after: list[int]) -> bool:
        tokens = self.passage.tokens
        single = mention.first == mention.last
        own = tokens[mention.first].text
        led, starts = self._led(before), self._starts(before)
        said = self._said(after)
        if said and tokens[said[0]].text in words.ASKING and tokens[mention.last].text in words.UNCERTAIN:
            return False
        follows = self._follows(mention, after, number=single and tokens[mention.first].kind == "number")
        if starts and said and tokens[said[0]].text == "of":
            return False
        if not single:
            return led or (starts and follows)
        if own in words.FREQUENCIES and led:
            return True
        if own == "yes" and starts:
            return True
        if own in ("yes", "no") and self._closes(own, after):
            said_before = [tokens[place].text for place in self._said(before)]
            telling = [word for word in said_before if word not in words.EMPHATIC and self._is_telling(word)]
            return led or not telling or telling[0] in words.LEADS or telling[0] in words.COPULAS
        if own in words.COMMON:
            return led and self._closes(own, after) or starts and not self._said(after)
        return follows and (starts or led)

    def _closes(self, word: str, after: list[int]) -> bool:
        """Return whether the clause ends after a common word, or goes on as after an answer."""
        if not self._said(after) or self.passage.tokens[after[0]].text == '"':
            return True
        following = self.passage.tokens[after[0]].text
        if word == "no":
            return following in ("because", "since", "to", "from", "as") or following in words.SUBJECTS
        return following in words.AFTER_COMMON

    def _led(self, before: list[int]) -> bool:
        """Return whether a copula, an answering verb or a pronoun stands shortly before the mention."""
        for place in before:
            token = self.passage.tokens[place]
            if token.kind == "mark":
                continue
            if token.text in words.COPULAS:
                return self._fits(place)
            if token.text in words.LEADS:
                return True
            if token.text in words.SKIPPED or token.text.endswith("ly"):
                continue
            return self._has_subject(place)
        return False

    def _fits(self, copula: int) -> bool:
        """Return whether the subject of a copula is a pronoun, somebody's own, or what the question is about."""
        passage = self.passage
        near = [passage.tokens[place].text for place in self._said(list(passage.before(copula)))]
        near = [word for word in near if word not in ("would", "will", "should", "must", "have", "has", "to") and not word.endswith("ly")]
        if not near:
            return True
        fitting = words.SUBJECTS | words.FIRST_PERSON | words.ANSWER_NOUNS
        own = ("my", "our", "their", "his", "her", "this", "that", "these", "things", "i'd", "there", "the")
        return any(word in fitting or word in own or self._is_unit(word) for word in near[:3]) and near[0] not in words.OTHERS - words.THIRD_PERSON

    def _has_subject(self, verb: int) -> bool:
        """Return whether a pronoun stands directly before a verb."""
        for place in self.passage.before(verb):
            token = self.passage.tokens[place]
            if token.text in words.SKIPPED or token.text in ("would", "will", "do") or token.text.endswith("ly"):
                continue
            said = self.passage.tokens[verb].text
            return token.text in words.SUBJECTS and said not in words.PAST and not said.endswith("ed")
        return False

    def _starts(self, before: list[int]) -> bool:
        """Return whether only articles, prepositions and adverbs stand between the clause's start and the mention."""
        said = [self.passage.tokens[place].text for place in self._said(before)]
        return all(
            word in words.SKIPPED
            or word in words.OPENERS
            or word in words.CONTRASTS
            or word in words.JOINTS
            or word.endswith("ly")
            for word in said
        )

    def _follows(self, mention: Mention, after: list[int], *, number: bool) -> bool:
        """Return whether what follows the mention leaves it an answer: the clause's end, or a function word."""
        said = self._said(after)
        if not said:
            return True
        following = [self.passage.tokens[place].text for place in said]
        if number:
            return following[0] in ("because", "since", "as", "for", "on", "would", "stars", "star", "points") or self._is_unit(
                following[0]
            )
        if is_called_the_answer(self.passage, mention, self.question):
            return True
        if any(f" {' '.join(following)} ".startswith(f" {tail} ") for tail in words.TAILS):
            return True
        if len(following) == 1 and mention.first < mention.last and self._is_unit(following[0]):
            return True
        if following[:2] in (
            ["a", "lot"],
            ["a", "bit"],
            ["a", "little"],
            ["i", "think"],
            ["i", "guess"],
            ["i", "suppose"],
        ):
            return True
        if "also" in following[:3] or "possible" in following[:3]:
            return True
        if following[0] in ("is", "was", "would", "seems"):
            return len(following) > 1 and following[1] in words.SUBJECT_IS_ANSWER - {"my", "the"}
        return following[0] in words.AFTER

    def _is_unit(self, word: str) -> bool:
        """Return whether the question asks for a number of these."""
        return len(word) > 2 and any(each.startswith(word[: max(len(word) - 1, 3)]) for each in self.question)
