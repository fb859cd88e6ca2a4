"""The self-test of decontamination: plant altered evaluation items into clean text of the very dataset, and count what is found.

No published method states its error rates; these depend on the settings, the evaluation sets and the text, so they are measured
with the user's own. For each evaluation set, ITEMS_A_SET items are drawn, written in each way of `dedup.alterations` into one
clean document each, into a text of DILUTED_BYTES, and SEVERAL together into one; items of 5 to 12 words are drawn once more.
An item counts as found if a span says so in its place. Recall has exact 95% intervals (Clopper and Pearson).

False positives are bounded, not measured: every document of the dataset that is flagged before anything is planted counts as
one, although some quote an item indeed, and the bound is the upper end of a one-sided 95% interval. With fewer than
MIN_DOCUMENTS documents no bound is given, since even none flagged would not show a rate below 1%. To know which flags are true,
read them: `refine explain`.

Common phrases are those of the dataset as it is, so what is planted does not make itself common. With 14 sets a run plants about
10,000 texts and takes a minute.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
from rich.console import Group
from rich.table import Table
from scipy.stats import binomtest

from corpus import storage
from corpus.errors import ConfigError, InputError
from corpus.text import Texts
from dedup.alterations import ALTERATIONS, planted, written
from dedup.contamination_methods import find_spans, method_of
from dedup.evaluation_hits import Hits, document_frequency, find_hits
from dedup.evaluation_index import build_index
from dedup.evaluation_sets import EvaluationItem, read_evaluation_sets
from pipeline.config import Recipe
from pipeline.inputs import read_documents
from pipeline.run import first_inputs

ITEMS_A_SET = 60
DILUTED_BYTES = 100_000
SEVERAL = 5
MIN_DOCUMENTS = 300
MAX_DOCUMENTS = 20_000  # of the dataset, its first ones
HOST_BYTES = (1_000, 20_000)  # documents into which items are planted
LENGTHS = {"under 5": 0, "5 to 12": 5, "13 to 19": 13, "20 to 49": 20, "50 and more": 50}  # words of an item, at least
MIN_LONG_WORDS = 20
_BATCH_BYTES = 16_000_000
_VOCABULARY_DOCUMENTS = 200


class Planted(NamedTuple):
    """One item in one text: `start`, `end` are its bytes there."""

    alteration: str
    item: EvaluationItem
    text: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tally:
    """So many planted, so many of them found."""

    planted: int
    found: int

    @property
    def interval(self) -> tuple[float, float]:
        """Of the recall; Clopper and Pearson, 95%."""
        of = binomtest(self.found, self.planted).proportion_ci(0.95, "exact")
        return float(of.low), float(of.high)

    def as_json(self) -> dict[str, Any]:
        return {
            "planted": self.planted,
            "found": self.found,
            "recall": self.found / self.planted,
            "interval": self.interval,
        }


@dataclass(frozen=True, slots=True)
class SelfTest:
    """`tallies`: by (alteration, set, length); `flagged`: documents of `documents` with a span before anything was planted."""

    tallies: Mapping[tuple[str, str, str], Tally]
    documents: int
    flagged: int
    settings: Mapping[str, Any]

    def tally(self, alteration: str | None = None, set: str | None = None, lengths: Iterable[str] = LENGTHS) -> Tally:
        """All that fits; None fits everything."""
        chosen = [
            tally
            for (of_alteration, of_set, length), tally in self.tallies.items()
            if alteration in (None, of_alteration) and set in (None, of_set) and length in lengths
        ]
        return Tally(sum(tally.planted for tally in chosen), sum(tally.found for tally in chosen))

    @property
    def alterations(self) -> list[str]:
        """Those of single items in their order, then other ways to plant."""
        return [*ALTERATIONS, *sorted({alteration for alteration, _, _ in self.tallies} - set(ALTERATIONS))]

    @property
    def max_false_positive_rate(self) -> float | None:
        """Upper end of a one-sided 95% interval; None: too few documents."""
        if self.documents < MIN_DOCUMENTS:
            return None
        return float(binomtest(self.flagged, self.documents, alternative="less").proportion_ci(0.95, "exact").high)


def length_of(item: EvaluationItem) -> str:
    n_words = len(written(item).split())
    return next(name for name, least in reversed(LENGTHS.items()) if n_words >= least)


class Judge:
    """Decontamination with the settings in use, common phrases being those of `documents`."""

    def __init__(self, section: Mapping[str, Any], items: Sequence[EvaluationItem], documents: Texts) -> None:
        self._method, self._passages = method_of(section["method"]), section["passages"]
        self._index = build_index(items)
        hits = find_hits(documents, self._index)
        self._suppressed = document_frequency(hits, self._index) > section["max_document_frequency"]
        self.flagged: set[int] = set(self._spans(hits)["document"].to_pylist())

    def _spans(self, hits: Hits) -> pa.Table:
        return find_spans(hits, self._index, self._suppressed, self._method, self._passages)

    def found(self, texts: Sequence[str], inserted: Iterable[Planted]) -> list[bool]:
        """Of each planted item whether a span of it lies in its place; `texts` are those that hold them."""
        spans = self._spans(find_hits(Texts.of(list(texts)), self._index))
        places = defaultdict(list)
        for span in spans.to_pylist():
            places[span["document"], span["set"], span["item"]].append((span["start"], span["end"]))
        return [
            any(start < one.end and one.start < end for start, end in places[one.text, one.item.set, one.item.item])
            for one in inserted
        ]


def self_test(recipe: Recipe, patterns: Sequence[str], text_column: str, seed: int = 0) -> SelfTest:
    """Plant and look; the recipe's one stage is `decontaminate`.

    Raises ConfigError where it names no evaluation sets, InputError where there is no text to plant them in.
    """
    section = recipe.stages[0].section
    if not section["evals"]:
        raise ConfigError("--self-test: decontaminate.evals is null; name the evaluation sets to test with")
    items = read_evaluation_sets(section["evals"], section["fields"]).items
    documents = _documents(recipe, patterns, text_column)
    judge = Judge(section, items, Texts.of(documents))
    clean = [text for row, text in enumerate(documents) if row not in judge.flagged]
    hosts = [text for text in clean if HOST_BYTES[0] <= len(text) <= HOST_BYTES[1]] or clean
    if not hosts:
        raise InputError(f"{' '.join(patterns)}: no clean text to plant items in; give a larger dataset")
    counts: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for texts, inserted in _batches(_plantings(items, hosts, Random(seed))):
        for one, is_found in zip(inserted, judge.found(texts, inserted), strict=True):
            counts[one.alteration, one.item.set, length_of(one.item)].append(is_found)
    tallies = {key: Tally(len(found), sum(found)) for key, found in sorted(counts.items())}
    return SelfTest(tallies, len(documents), len(judge.flagged), section)


def _documents(recipe: Recipe, patterns: Sequence[str], text_column: str) -> list[str]:
    """The texts of the dataset, up to MAX_DOCUMENTS."""
    texts: list[str] = []
    for source in first_inputs(recipe, patterns, text_column):
        for _, batch in read_documents(source, text_column, None):
            texts += [text for text in batch.column("text").to_pylist() if text]
            if len(texts) >= MAX_DOCUMENTS:
                return texts[:MAX_DOCUMENTS]
    return texts


def _plantings(
    items: Sequence[EvaluationItem], hosts: Sequence[str], random: Random
) -> Iterator[tuple[str, list[Planted]]]:
    """Texts with what was planted in each; `text` of these is 0."""
    by_set = defaultdict(list)
    for item in items:
        by_set[item.set].append(item)
    vocabulary = [word for text in hosts[:_VOCABULARY_DOCUMENTS] for word in text.split() if word.isalpha()] or [
        "other"
    ]
    for of_set in by_set.values():
        drawn = random.sample(of_set, min(ITEMS_A_SET, len(of_set)))
        short = [item for item in of_set if length_of(item) == "5 to 12"]
        for name, alteration in ALTERATIONS.items():
            for item in drawn:
                text = alteration(item, random, vocabulary)
                if text is not None:
                    yield _planted(name, [item], [text], random.choice(hosts), random)
        for item in drawn:
            yield _planted("in 100 kB", [item], [written(item)], _long_text(hosts, random), random)
        for at in range(0, len(drawn), SEVERAL):
            some = drawn[at : at + SEVERAL]
            yield _planted("several in one", some, [written(item) for item in some], random.choice(hosts), random)
        for item in random.sample(short, min(ITEMS_A_SET, len(short))):
            yield _planted("items of 5 to 12", [item], [written(item)], random.choice(hosts), random)


def _planted(
    alteration: str, items: Sequence[EvaluationItem], texts: Sequence[str], host: str, random: Random
) -> tuple[str, list[Planted]]:
    text, places = planted(host, texts, random)
    return text, [Planted(alteration, item, 0, *place) for item, place in zip(items, places, strict=True)]


def _long_text(hosts: Sequence[str], random: Random) -> str:
    parts: list[str] = []
    n_bytes = 0
    while n_bytes < DILUTED_BYTES:
        parts.append(random.choice(hosts))
        n_bytes += len(parts[-1].encode()) + 1
    return "\n".join(parts)


def _batches(plantings: Iterable[tuple[str, list[Planted]]]) -> Iterator[tuple[list[str], list[Planted]]]:
    """About _BATCH_BYTES of text at once."""
    texts: list[str] = []
    inserted: list[Planted] = []
    n_characters = 0
    for text, planted_here in plantings:
        inserted += [one._replace(text=len(texts)) for one in planted_here]
        texts.append(text)
        n_characters += len(text)
        if n_characters >= _BATCH_BYTES:
            yield texts, inserted
            texts, inserted, n_characters = [], [], 0
    if texts:
        yield texts, inserted


# --- what people see --------------------------------------------------------------------------------------------------


def report(recipe: Recipe, patterns: Sequence[str], text_column: str, out: str) -> Group:
    """Run the self-test, write OUT/self_test.json, and return the tables."""
    test = self_test(recipe, patterns, text_column)
    storage.write_json(storage.join(out, "self_test.json"), as_json(test))
    return tables(test)


def as_json(test: SelfTest) -> dict[str, Any]:
    cells = [
        {"alteration": alteration, "set": of_set, "words": length, **tally.as_json()}
        for (alteration, of_set, length), tally in test.tallies.items()
    ]
    return {
        "settings": dict(test.settings),
        "documents": test.documents,
        "flagged_documents": test.flagged,
        "max_false_positive_rate": test.max_false_positive_rate,
        "recall": cells,
    }


def tables(test: SelfTest) -> Group:
    """Recall by alteration and length, then by set; below, the bound of false positives."""
    by_length = Table("words of the item", *LENGTHS, f"{MIN_LONG_WORDS} and more", title="recall", title_justify="left")
    long = [name for name, least in LENGTHS.items() if least >= MIN_LONG_WORDS]
    for alteration in test.alterations:
        cells = [test.tally(alteration, lengths=[length]) for length in LENGTHS]
        by_length.add_row(alteration, *map(_cell, [*cells, test.tally(alteration, lengths=long)]))
    by_set = Table("set", "planted", "recall, all alterations", "verbatim", "10% of words")
    for name in dict.fromkeys(of_set for _, of_set, _ in test.tallies):
        all_of_it = test.tally(set=name)
        two = [test.tally(alteration, name) for alteration in ("verbatim", "10% of words")]
        by_set.add_row(name, f"{all_of_it.planted:,}", *map(_cell, [all_of_it, *two]))
    return Group(by_length, by_set, _false_positives(test))


def _cell(tally: Tally) -> str:
    if not tally.planted:
        return ""
    low, high = tally.interval
    return f"{tally.found / tally.planted:.1%} ({low:.1%}–{high:.1%})"


def _false_positives(test: SelfTest) -> str:
    bound = test.max_false_positive_rate
    flagged = f"{test.flagged:,} of {test.documents:,} documents flagged as they are"
    if bound is None:
        return f"{flagged}: insufficient data for a false-positive rate ({MIN_DOCUMENTS} documents are needed)"
    return f"{flagged}; false positives: at most {bound:.2%} of documents (95%), if every one of these flags were false"
