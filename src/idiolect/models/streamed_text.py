"""What can be handed out of a text while a model is still writing it; between a stream's pieces and who reads them.

    pieces as they are written → add → pieces that no later one changes → end(the whole text) → the rest

Thoughts are no part of what is said (`thoughts`), and neither is a stop string. So whatever may turn out to be the
beginning of one is held back, as is an incomplete character. Blanks at the end are held back until words follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from idiolect.models.thoughts import MARK, PARTIAL_MARK, UNMARKED_OPENINGS, after_thoughts, opens_thought

_INCOMPLETE = re.compile("[\ufffd\ud800-\udbff\\s]+$")
_MAY_END_THOUGHT = re.compile(r"[>\]▷.:]")
_UNDECIDED = 80  # characters within which it shows whether a text begins with thoughts
_LONGEST_HELD = 260  # characters at the end of a text among which a mark may begin


class StreamedText:
    """The part of one text that was handed out.

    Args:
        stop: strings before the first of which the text ends.
        opened: whether the prompt, or the model by its habit, has already opened a thought.

    Attributes:
        said: what was handed out.
        stopped: whether a stop string has ended the text.
        retracted: whether the model marked words that were handed out as thoughts afterwards.
    """

    def __init__(self, *, stop: Sequence[str] = (), opened: bool = False) -> None:
        self.said = ""
        self.stopped = self.retracted = False
        self._stop, self._opened = tuple(stop), opened
        self._written = ""
        self._plain: str | None = None  # what is said but not handed out; None: only `after_thoughts` can tell

    def add(self, piece: str) -> str:
        """Add what was written, and return what can be handed out now."""
        self._written += piece
        if self.stopped or not piece:
            return ""
        if self._plain is not None:
            self._plain += piece
            if MARK.search(self._plain):
                self._plain = None
        if self._plain is None:
            self._read(piece)
        return "" if self._plain is None else self._hand_out(self._plain)

    def end(self, text: str) -> str:
        """Return the rest, given the whole text as `complete` returns it; `said` is what was said in all.

        If it does not begin with what was handed out, that was a thought, and the text follows in a new paragraph.
        """
        if text.startswith(self.said):
            rest = text[len(self.said) :]
        else:
            self.retracted = self.retracted or bool(text)
            rest = f"\n\n{text}" if text else ""
        self.said += rest
        return rest

    def _read(self, piece: str) -> None:
        """Find out whether anything is said, after all that was written; then `_plain` holds what is new of it."""
        if len(self._written) > _UNDECIDED and not _MAY_END_THOUGHT.search(piece):
            return
        if self._may_begin_thought() or self._in_thought():
            return
        spoken = after_thoughts(self._written, opened=self._opened)
        if not spoken.text.startswith(self.said):
            self.retracted = True
        elif not spoken.cut_off and spoken.text and self._written.endswith(spoken.text):
            self._plain = spoken.text[len(self.said) :]

    def _in_thought(self) -> bool:
        """Return whether the last mark opens a thought, which is not closed yet."""
        ends = [found.end() for found in MARK.finditer(self._written)]
        return bool(ends) and opens_thought(self._written[: ends[-1]])

    def _may_begin_thought(self) -> bool:
        """Return whether the text may begin with thoughts without a mark that are not recognized yet."""
        lead = self._written.lstrip()
        if not lead:
            return True
        begun = next((each for each in UNMARKED_OPENINGS if lead.startswith(each)), None)
        if begun is None:
            return any(each.startswith(lead) for each in UNMARKED_OPENINGS)
        undecided = begun == UNMARKED_OPENINGS[0] or len(lead) <= len(begun) + 1
        return undecided and not after_thoughts(self._written, opened=self._opened).thought

    def _hand_out(self, plain: str) -> str:
        ends = [at for stop in self._stop if (at := plain.find(stop)) >= 0]
        if ends:
            self.stopped = True
            ready = plain[: min(ends)]
        else:
            ready = plain[: self._kept_back(plain)]
        self._plain = plain[len(ready) :]
        self.said += ready
        return ready

    def _kept_back(self, plain: str) -> int:
        """Return the place from which on the text may still become something else."""
        start = max(len(plain) - _LONGEST_HELD, 0)
        mark = PARTIAL_MARK.search(plain, start)
        place = len(plain) if mark is None else mark.start()
        for stop in self._stop:
            for length in range(min(len(stop) - 1, len(plain)), 0, -1):
                if plain.endswith(stop[:length]):
                    place = min(place, len(plain) - length)
                    break
        incomplete = _INCOMPLETE.search(plain, 0, place)
        return place if incomplete is None else incomplete.start()
