"""`python -m benchmarks.large_index FOLDER N`: an index of N made-up items; its size, its build time and the memory that takes.

Each item is one of the folder's with other words: as many in every text, drawn from all texts of the folder. So lengths and
frequencies are those of real items; what they have in common (templates, passages with several questions) is lost, and the index
is larger for it. A process of its own, since the most memory a process has had cannot be taken back.
"""

import json
import sys
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.measure import peak_memory_mb
from dedup.evaluation_index import build_index
from dedup.evaluation_sets import EvaluationItem, read_evaluation_sets


def made_up(items: list[EvaluationItem], n: int) -> Iterator[EvaluationItem]:
    """Different items like those given."""
    rng = np.random.default_rng(1)
    texts = [(*item.question, *item.answer, *item.passage) for item in items]
    words = np.array([word for of_item in texts for text in of_item for word in text.split()], object)
    for number in range(n):
        like = items[rng.integers(len(items))]
        parts = (like.question, like.answer, like.passage)
        yield EvaluationItem(
            like.set,
            f"made-up:{number}",
            *(
                tuple(" ".join(words[rng.integers(len(words), size=text.count(" ") + 1)]) for text in part)
                for part in parts
            ),
        )


def main(folder: str, n: str) -> None:
    items = list(made_up(read_evaluation_sets([folder]).items, int(n)))
    before, began = peak_memory_mb(), time.process_time()
    index = build_index(items)
    facts = {
        "items": len(items),
        "words": len(index.words),
        "seeds": len(index.seeds),
        "index_mb": round(index.nbytes / 1e6),
        "build_cpu_seconds": round(time.process_time() - began),
        "peak_mb_items": round(before),
        "peak_mb_build": round(peak_memory_mb()),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
