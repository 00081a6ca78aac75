"""A reply's plain text cut into tokens, sentences and clauses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from idiolect.methods.reading.forms import Token, tokens_of
from idiolect.methods.reading.vocabulary import CONTRASTS, JOINTS

_SENTENCE_END = frozenset(".!?\n")
_THAT = frozenset(("что", "чтобы", "dass", "daß"))  # a comma before these ends no clause
_CLAUSE_END = frozenset(",;:()→>")


@dataclass(frozen=True, slots=True)
class Passage:
    """A reply's plain text.

    Args:
        text: the text.
        tokens: its tokens, with marks.
        sentences, clauses: per token, the number of its sentence and of its clause; a mark belongs to what it ends.
    """

    text: str
    tokens: tuple[Token, ...]
    sentences: tuple[int, ...]
    clauses: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Passage:
        """Return the passage of a plain text."""
        tokens = tokens_of(text)
        sentences, clauses = [], []
        sentence = clause = 0
        for place, token in enumerate(tokens):
            joined = token.text in CONTRASTS or token.text in JOINTS
            if joined and not (place and tokens[place - 1].text in ("anything", "nothing", "all", "none", "even")):
                clause += 1
            sentences.append(sentence)
            clauses.append(clause)
            if token.kind == "mark" and token.text in _SENTENCE_END:
                sentence, clause = sentence + 1, clause + 1
            elif token.text == "," and place + 1 < len(tokens) and tokens[place + 1].text in _THAT:
                continue
            elif token.kind == "mark" and (token.text in _CLAUSE_END or _is_dash(text, tokens, place)):
                clause += 1
        return cls(text, tuple(tokens), tuple(sentences), tuple(clauses))

    def sentence_texts(self) -> list[str]:
        """Return the text of each sentence that has a word, in order."""
        found: dict[int, list[Token]] = {}
        for token, sentence in zip(self.tokens, self.sentences, strict=True):
            found.setdefault(sentence, []).append(token)
        told = [tokens for tokens in found.values() if any(token.kind != "mark" for token in tokens)]
        return [self.text[tokens[0].start : tokens[-1].end] for tokens in told]

    def before(self, place: int) -> Iterator[int]:
        """Yield the places of the tokens before a place in its clause, nearest first."""
        for earlier in range(place - 1, -1, -1):
            if self.clauses[earlier] != self.clauses[place] or self.is_boundary(earlier):
                return
            yield earlier

    def after(self, place: int) -> Iterator[int]:
        """Yield the places of the tokens after a place in its clause, up to its end."""
        for later in range(place + 1, len(self.tokens)):
            if self.clauses[later] != self.clauses[place] or self.is_boundary(later):
                return
            yield later

    def is_boundary(self, place: int) -> bool:
        """Return whether the token is a mark that ends a clause."""
        token = self.tokens[place]
        if token.kind != "mark":
            return False
        if token.text == "," and place + 1 < len(self.tokens) and self.tokens[place + 1].text in _THAT:
            return False
        ends = token.text in _SENTENCE_END or token.text in _CLAUSE_END
        return ends or _is_dash(self.text, self.tokens, place)

    def sentence_of(self, place: int) -> list[int]:
        """Return the places of the tokens in the sentence of a place."""
        wanted = self.sentences[place]
        first = place
        while first and self.sentences[first - 1] == wanted:
            first -= 1
        last = place
        while last + 1 < len(self.tokens) and self.sentences[last + 1] == wanted:
            last += 1
        return list(range(first, last + 1))

    def words(self, places: Iterable[int]) -> str:
        """Return the words at places, with blanks around each."""
        return " " + " ".join(self.tokens[place].text for place in places if self.tokens[place].kind != "mark") + " "


def _is_dash(text: str, tokens: tuple[Token, ...] | list[Token], place: int) -> bool:
    token = tokens[place]
    return (
        token.text == "-"
        and (token.start == 0 or text[token.start - 1] in " \n")
        and token.end < len(text)
        and text[token.end] in " \n"
    )
