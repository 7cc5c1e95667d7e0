"""Text in pieces that are spoken one after the other: the first one short, so that the voice begins early."""

from __future__ import annotations

import re
import unicodedata

_SHORTEST_CLAUSE = 24
_LONGEST = 220
_SHORT = 120

_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|\n+|[。！？]+(?=[^。！？])")
_CLAUSE = re.compile(r"[,;:](?=\s)|\s[-–—]+(?=\s)|[，；：、]")
_SHORT_FORMS = {"mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "e.g", "i.e", "fig", "approx", "jr", "sr"}
_MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)|```|[*_`#~|<>]+")


class SentenceSplitter:
    """Cuts a stream of text into sentences, long ones and the very first one at clauses; loses no word.

    The same text gives the same pieces however it arrives.
    """

    def __init__(self, begins_early: bool = True) -> None:
        """`begins_early` cuts the first sentence at a clause."""
        self._rest = ""
        self._is_first = begins_early

    def feed(self, text: str) -> list[str]:
        """Take in more text; the pieces that are now whole."""
        self._rest += text
        pieces = []
        while (end := self._cut()) is not None:
            pieces += self._take(end)
        return pieces

    def flush(self) -> list[str]:
        """The text ends here; what is left."""
        # A mark at the end of the text ends a sentence just as one before a space does.
        pieces = self.feed("\n")
        return pieces + self._take(len(self._rest))

    def _take(self, end: int) -> list[str]:
        piece, self._rest = self._rest[:end].strip(), self._rest[end:]
        if not piece:
            return []
        self._is_first = False
        return [piece]

    def _cut(self) -> int | None:
        """Where the next piece ends; None until that is certain, whatever follows."""
        for match in _END.finditer(self._rest):
            if match.end() > _LONGEST:
                break
            if self._ends_sentence(match):
                return self._early_clause(match.start()) or match.end()
        return self._early_clause(_LONGEST) or (self._forced() if len(self._rest) > _LONGEST else None)

    def _ends_sentence(self, match: re.Match[str]) -> bool:
        mark, words = match.group(), self._rest[: match.start()].split()
        if mark != "." or not words:
            return bool(words) or mark.startswith("\n")
        last = words[-1].lower().strip("(\"'“‘")
        is_initial = len(last) == 1 and last.isalpha() and last != "i"
        is_list_number = len(words) == 1 and last.isdigit()
        return last not in _SHORT_FORMS and not is_initial and not is_list_number

    def _early_clause(self, most: int) -> int | None:
        """The first piece may end at a clause, so that the first sound comes early."""
        ends = (match.end() for match in _CLAUSE.finditer(self._rest, 0, most + 1)) if self._is_first else iter(())
        return next((end for end in ends if _SHORTEST_CLAUSE <= end <= most), None)

    def _forced(self) -> int:
        """A cut in a text without ends: at the last clause, else at the last space."""
        marks = [match.end() for match in _CLAUSE.finditer(self._rest, 0, _LONGEST)]
        if marks and marks[-1] >= _SHORTEST_CLAUSE:
            return marks[-1]
        space = self._rest.rfind(" ", 1, _LONGEST)
        return space if space > 0 else _LONGEST


def split_text(text: str) -> list[str]:
    """A whole text in pieces to speak; a short one is cut at sentences only, for its melody."""
    splitter = SentenceSplitter(begins_early=len(text) > _SHORT)
    return splitter.feed(text) + splitter.flush()


def speakable(text: str) -> str:
    """The text without markup and pictographs, with single spaces; "" when there is nothing to pronounce."""
    text = _MARKUP.sub(lambda match: match.group(1) or " ", text)
    kept = "".join(" " if unicodedata.category(c) in ("So", "Sk", "Cs", "Co", "Cf", "Cc") else c for c in text)
    kept = re.sub(r" (?=[,.;:!?])", "", " ".join(kept.split()))
    return kept if any(c.isalnum() for c in kept) else ""
