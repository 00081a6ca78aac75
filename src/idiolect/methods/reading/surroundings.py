"""What stands around a mention: the words of its clause and of its sentence."""

from __future__ import annotations

from dataclasses import dataclass

from idiolect.methods.reading import vocabulary as words
from idiolect.methods.reading.mentions import Mention
from idiolect.methods.reading.passages import Passage

_AROUND = 4  # words of an idiom on either side


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The words around a mention, without marks.

    Args:
        passage: the reply.
        mention: the mention.
        question: the words of the question.
        before: the words before it in its clause, nearest first.
        after: the words after it in its clause, in order.
        sentence: the words of its sentence, with blanks around each.
    """

    passage: Passage
    mention: Mention
    question: frozenset[str]
    before: tuple[str, ...]
    after: tuple[str, ...]
    sentence: str

    @classmethod
    def of(cls, passage: Passage, mention: Mention, question: frozenset[str]) -> Surroundings:
        """Return the surroundings of a mention."""
        tokens = passage.tokens
        before = [tokens[place] for place in passage.before(mention.first)]
        after = [tokens[place] for place in passage.after(mention.last)]
        return cls(
            passage,
            mention,
            question,
            tuple(token.text for token in before if token.kind != "mark"),
            tuple(token.text for token in after if token.kind != "mark"),
            passage.words(passage.sentence_of(mention.first)),
        )

    @property
    def left(self) -> str:
        """The words before the mention in its clause, in order, with blanks around each."""
        return f" {' '.join(reversed(self.before))} "

    @property
    def word(self) -> str:
        """The mention's word; "" if it has several."""
        one = self.mention.first == self.mention.last
        return self.passage.tokens[self.mention.first].text if one else ""

    @property
    def alone(self) -> bool:
        """Whether the mention is a clause of its own, but for an opening word."""
        return not self.after and all(word in words.OPENERS or is_conjunction(word) for word in self.before)

    @property
    def starts(self) -> bool:
        """Whether only articles, prepositions and adverbs stand between the clause's start and the mention."""
        return all(not is_telling(word) or is_conjunction(word) for word in self.before)

    @property
    def asks(self) -> bool:
        """Whether the mention's sentence is a question."""
        places = self.passage.sentence_of(self.mention.first)
        asked = any(self.passage.tokens[place].text == "?" for place in places[-3:])
        return asked and not _ends_with_tag([self.passage.tokens[place].text for place in places[-6:]])

    @property
    def is_everything(self) -> bool:
        """Whether nothing else is said."""
        mention, tokens = self.mention, self.passage.tokens
        others = (place for place in range(len(tokens)) if not mention.first <= place <= mention.last)
        return all(tokens[place].kind == "mark" for place in others)

    @property
    def next_is_quote(self) -> bool:
        """Whether a quotation mark follows directly."""
        following = self.mention.last + 1
        return following < len(self.passage.tokens) and self.passage.tokens[following].text == '"'

    def asks_about(self, word: str) -> bool:
        """Return whether the question has the word, or another form of it."""
        return len(word) > 2 and any(each.startswith(word[: max(len(word) - 1, 3)]) for each in self.question)

    def begins(self, phrase: str) -> bool:
        """Return whether a phrase follows in the clause."""
        return f" {' '.join(self.after)} ".startswith(f" {phrase} ")

    def in_phrase(self, phrases: tuple[str, ...]) -> bool:
        """Return whether the mention is part of one of the phrases."""
        mention, tokens = self.mention, self.passage.tokens
        around = range(max(mention.first - _AROUND, 0), min(mention.last + _AROUND + 2, len(tokens)))
        window = self.passage.words(around)
        own = {tokens[place].text for place in range(mention.first, mention.last + 1)}
        return any(f" {phrase} " in window and own <= set(phrase.split()) for phrase in phrases)

    def is_called_the_answer(self) -> bool:
        """Return whether what follows calls the mention the answer ("… is my favourite", "… would be my answer")."""
        mention, n = self.mention, len(self.passage.tokens)
        following = self.passage.words(range(mention.last + 1, min(mention.last + 9, n)))
        for phrase in words.BACK_MARKS:
            if following.startswith(f" {phrase} "):
                rest = following[len(phrase) + 2 :].split()[:2]
                possessive = phrase.endswith(("my", "the best"))
                return not possessive or any(word in words.ANSWER_NOUNS or word in self.question for word in rest)
        return False


def _ends_with_tag(said: list[str]) -> bool:
    """Return whether a sentence ends with a tag that asks for consent only ("…, hasn't it?")."""
    if said[-1:] != ["?"] or "," not in said:
        return False
    tag = said[len(said) - said[::-1].index(",") : -1]
    return 1 <= len(tag) <= 3 and (tag == ["right"] or (len(tag) > 1 and tag[0] in words.TAG_VERBS))


def is_conjunction(word: str) -> bool:
    """Return whether a word joins clauses."""
    return word in words.CONTRASTS or word in words.JOINTS


def is_telling(word: str) -> bool:
    """Return whether a word is more than an article, a preposition, an adverb or an opening word."""
    return word not in words.SKIPPED and word not in words.OPENERS and not word.endswith("ly")
