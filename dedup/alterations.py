"""What happens to an evaluation item on its way into a web page: each alteration makes of an item the text that is planted.

The self-test (`pipeline.self_test`) asks how many of these are found. What they imitate: a page that quotes an item as it is,
sets it in short lines, writes it in capitals with other punctuation, has typographic quotes or HTML entities that nobody
decoded, says it in slightly other words, lists the choices in another order, or asks the question without its answers.
Rephrased and translated items are not imitated: no n-gram method finds them.

An alteration that an item does not allow (choices of an item that has none) gives None.
"""

import re
from collections.abc import Callable, Sequence
from random import Random

from dedup.evaluation_sets import EvaluationItem

WRAPPED_WORDS = 8  # a line

_WORD = re.compile(r"\S+")
_LOOSE_PUNCTUATION = re.compile(r"(?<!\w)[^\w\s]+|[^\w\s]+(?!\w)")  # not what joins two parts of a word
_OTHER_PUNCTUATION = ("", ",", ";", "!", " –")
_TYPOGRAPHIC = str.maketrans({"'": "’", "-": "‐"})
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "-": "&#45;"}

Alteration = Callable[[EvaluationItem, Random, Sequence[str]], str | None]


def written(item: EvaluationItem, variant: int = 0, answers: Sequence[str] | None = None) -> str:
    """The item as a page would have it: passage, one of the question's variants, answers, a line each."""
    question = item.question[variant : variant + 1]
    return "\n".join([*item.passage, *question, *(item.answer if answers is None else answers)])


def verbatim(item: EvaluationItem, random: Random, vocabulary: Sequence[str]) -> str | None:
    """As it is, with one of its question's variants."""
    return written(item, random.randrange(max(1, len(item.question))))


def rewrapped(item: EvaluationItem, random: Random, vocabulary: Sequence[str]) -> str | None:
    """WRAPPED_WORDS words a line."""
    words = written(item).split()
    return "\n".join(" ".join(words[at : at + WRAPPED_WORDS]) for at in range(0, len(words), WRAPPED_WORDS))


def recased(item: EvaluationItem, random: Random, vocabulary: Sequence[str]) -> str | None:
    """In capitals, small letters or title case, and each mark beside a word another one, or gone."""
    change = random.choice((str.upper, str.lower, str.title))
    text = re.sub(r"[A-Za-z]+", lambda match: change(match[0]), written(item))
    return _LOOSE_PUNCTUATION.sub(lambda _: random.choice(_OTHER_PUNCTUATION), text)


def with_entities(item: EvaluationItem, random: Random, vocabulary: Sequence[str]) -> str | None:
    """With typographic quotes and hyphens or, as often, with HTML entities that were escaped twice."""
    text = written(item)
    if random.random() < 0.5:
        return "".join(_ENTITIES.get(character, character) for character in text)
    return re.sub(r'"([^"\n]*)"', r"“\1”", text).translate(_TYPOGRAPHIC)


def substituted(share: float) -> Alteration:
    """That share of the words is replaced by words of other documents; a fraction of a word is a chance."""

    def alteration(item: EvaluationItem, random: Random, vocabulary: Sequence[str]) -> str | None:
        text = written(item)
        places = [match.span() for match in _WORD.finditer(text)]
        exact = share * len(places)
        n_changed = int(exact) + (random.random() < exact % 1)
        for start, end in sorted(random.sample(places, n_changed), reverse=True):
            text = text[:start] + random.choice(vocabulary) + text[end:]
        return text

    return alteration


def reordered(item: EvaluationItem, random: Random, vocabulary: Sequence[str]) -> str | None:
    """The answers in another order."""
    if len(set(item.answer)) < 2 or not item.question:
        return None
    answers = list(item.answer)
    while answers == list(item.answer):
        random.shuffle(answers)
    return written(item, answers=answers)


def question_only(item: EvaluationItem, random: Random, vocabulary: Sequence[str]) -> str | None:
    """Without answers."""
    return written(item, answers=()) if item.question and item.answer else None


ALTERATIONS: dict[str, Alteration] = {
    "verbatim": verbatim,
    "re-wrapped at 8 words": rewrapped,
    "case and punctuation": recased,
    "quotes and entities": with_entities,
    "1% of words": substituted(0.01),
    "3% of words": substituted(0.03),
    "10% of words": substituted(0.10),
    "choices reordered": reordered,
    "question only": question_only,
}


def planted(text: str, insert: Sequence[str], random: Random) -> tuple[str, list[tuple[int, int]]]:
    """`text` with each of `insert` as paragraphs between its lines (a text of one line: between words), and where they lie.

    Places are bytes of UTF-8.
    """
    gaps = [match.start() for match in re.finditer(r"\n", text)] or [match.start() for match in re.finditer(" ", text)]
    pieces: list[str] = []
    spans = []
    done = n_bytes = 0
    for inserted, gap in zip(insert, sorted(random.choices(gaps or [len(text)], k=len(insert))), strict=True):
        before = text[done:gap] + "\n\n"
        start = n_bytes + len(before.encode())
        n_bytes = start + len(inserted.encode()) + 2
        spans.append((start, n_bytes - 2))
        pieces += [before, inserted, "\n\n"]
        done = gap
    return "".join([*pieces, text[done:]]), spans
