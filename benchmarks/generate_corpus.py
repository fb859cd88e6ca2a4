"""`python -m benchmarks.generate_corpus OUT N [DATA_FOLDER]`: N documents of real English words whose duplicates are known.

A *family* is a text and its copies; how many documents a family has follows Zipf's law (P(k) ∝ k^-2.5: three of four families
have one document, 47% of all documents are copies). Each document is its family's text with a share of its words replaced:
none for half of the documents, so these are exact copies, else 1, 2 or 4% (two documents of a family then have a Jaccard
similarity from 0.5 to 1). A family's text is 5 to 15 runs of 17 consecutive words, drawn from all words of the English texts
in DATA_FOLDER. Of ten million documents, 10^10 pairs of families share a part of a run by chance: a tenth of their 5-grams.

A document is a function of (seed, number) alone, so shards are written one after the other, any text can be had again, and
16 bytes a document are in memory. A document has 1.05 kB on average, 0.53 as Parquet, so that ten million, with what dedup
writes of them, fit into 11 GB of disk. One core writes 27,000 documents a second.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from benchmarks.inputs import english_texts

ZIPF = 2.5
LARGEST_SHARE = 0.005  # of the documents, in one family: below the guard's share for a cluster
SHARES = (0.0, 0.0, 0.0, 0.01, 0.02, 0.04)  # of replaced words, one of them for each document
RUN_WORDS = 17
MIN_RUNS, MAX_RUNS = 5, 15
SHARD_DOCUMENTS = 50_000
_AT_ONCE = 5_000  # documents whose words are in memory

_URN = np.frombuffer(b"<urn:uuid:00000000-0000-4000-8000-000000000000>", np.uint8)
_RUN, _N_RUNS, _SHARE, _REPLACED, _OTHER, _ID = range(6)


class PlantedCorpus:
    """Documents 0 … n - 1. `family`: int64[n], of which each is a copy; `share`: float64[n], of its words are replaced."""

    def __init__(self, words: list[str], n_documents: int, seed: int = 1) -> None:
        """`words`: of running text, in order."""
        self._seed = seed
        encoded = pa.array(words).dictionary_encode()
        self._vocabulary, self._stream = encoded.dictionary, encoded.indices.to_numpy()
        sizes = np.random.default_rng(seed).zipf(ZIPF, n_documents)
        sizes = np.minimum(sizes, max(int(LARGEST_SHARE * n_documents), 2))
        sizes = sizes[: np.searchsorted(np.cumsum(sizes), n_documents) + 1]
        family = np.repeat(np.arange(len(sizes)), sizes)[:n_documents]
        self.family = np.random.default_rng(seed + 1).permutation(family)
        self.share = np.array(SHARES)[self._random(_SHARE, np.arange(n_documents)) % np.uint64(len(SHARES))]

    def __len__(self) -> int:
        return len(self.family)

    def _random(self, purpose: int, at: NDArray[np.int64]) -> NDArray[np.uint64]:
        """uint64, one for each of `at`, by splitmix64: to have one, none of those before it is needed."""
        of_purpose = xxhash.xxh3_64_intdigest(bytes([purpose]), self._seed)
        state = (at.astype(np.uint64) + np.uint64(of_purpose)) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
        return state ^ (state >> np.uint64(31))

    def texts(self, documents: NDArray[np.int64]) -> pa.Array:
        """large_string[n]: the texts of these documents."""
        parts = [self._texts(documents[start : start + _AT_ONCE]) for start in range(0, len(documents), _AT_ONCE)]
        return pa.chunked_array(parts, pa.large_string()).combine_chunks()

    def _texts(self, documents: NDArray[np.int64]) -> pa.Array:
        family = self.family[documents]
        n_runs = (MIN_RUNS + self._random(_N_RUNS, family) % np.uint64(MAX_RUNS - MIN_RUNS + 1)).astype(np.int64)
        first = np.concatenate([[0], np.cumsum(n_runs)])
        run = np.arange(first[-1]) - np.repeat(first[:-1], n_runs) + np.repeat(family * MAX_RUNS, n_runs)
        start = (self._random(_RUN, run) % np.uint64(len(self._stream) - RUN_WORDS)).astype(np.int64)
        words = self._stream[(start[:, None] + np.arange(RUN_WORDS)).ravel()]
        n_words = n_runs * RUN_WORDS
        first = first * RUN_WORDS
        place = np.arange(first[-1]) - np.repeat(first[:-1], n_words) + np.repeat(documents << 10, n_words)
        limit = (np.repeat(self.share[documents], n_words) * 2.0**63).astype(np.uint64)
        replaced = np.flatnonzero(self._random(_REPLACED, place) >> np.uint64(1) < limit)
        words[replaced] = self._random(_OTHER, place[replaced]) % np.uint64(len(self._vocabulary))
        of_text = pa.ListArray.from_arrays(first.astype(np.int32), self._vocabulary.take(pa.array(words)))
        return pc.binary_join(of_text, " ").cast(pa.large_string())

    def ids(self, documents: NDArray[np.int64]) -> pa.Array:
        """As archives have them: random, 47 bytes."""
        digits = np.frombuffer(self._random(_ID, documents).tobytes().hex().encode(), np.uint8).reshape(-1, 16)
        urns = np.tile(_URN, (len(documents), 1))
        urns[:, -1 - 12 : -1], urns[:, 10:14] = digits[:, :12], digits[:, 12:]
        offsets = np.arange(len(documents) + 1, dtype=np.int32) * len(_URN)
        return pa.StringArray.from_buffers(len(documents), pa.py_buffer(offsets), pa.py_buffer(urns.ravel()))

    def table(self, documents: NDArray[np.int64]) -> pa.Table:
        """What a stage before dedup would have left. `token_count` has words: counting tokens is not dedup's work."""
        texts = self.texts(documents)
        return pa.table(
            {
                "id": self.ids(documents),
                "url": pc.binary_join_element_wise("https://pages.example/", pa.array(documents).cast(pa.string()), ""),
                "text": texts,
                "token_count": pc.add(pc.count_substring(texts, " "), 1).cast(pa.int32()),
            }
        )

    def write(self, folder: Path) -> list[Path]:
        """The shards of all documents."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for start in range(0, len(self), SHARD_DOCUMENTS):
            paths.append(folder / f"{start // SHARD_DOCUMENTS:05d}.parquet")
            documents = np.arange(start, min(start + SHARD_DOCUMENTS, len(self)))
            pq.write_table(self.table(documents), paths[-1], compression="zstd", row_group_size=5_000)
        return paths


def words_of(data: Path) -> list[str]:
    """All words of a data folder's English texts, in order (`benchmarks.inputs`)."""
    return [word for text in english_texts(data) for word in text.split()]


def main() -> None:
    from benchmarks.__main__ import REAL_DATA

    parser = argparse.ArgumentParser("generate_corpus", description="Documents of which it is known what is a copy.")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("n_documents", type=int, metavar="N")
    parser.add_argument("data", nargs="?", type=Path, default=REAL_DATA, metavar="DATA_FOLDER")
    arguments = parser.parse_args()
    PlantedCorpus(words_of(arguments.data), arguments.n_documents).write(arguments.out)


if __name__ == "__main__":
    main()
