"""Train the model of `blocks`, and say how good it is: `python -m pipeline.blocks.train FOLDER`.

FOLDER as in `gold.py`. Needs LightGBM (the extra `train`). Written beside this file: `model.npz`, from all pages that may
train; `scores.json` (`validation.py`), and from it the tables of MODEL_CARD.md. About ten minutes
of CPU time, on two cores.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from corpus.errors import ConfigError, InputError, RefineError
from pipeline.blocks import card, validation
from pipeline.blocks.fitting import by_trafilatura, fit, lessons_of, read_example, two_passes
from pipeline.blocks.gold import N_FOLDS, TRAINABLE, folds, read_pages
from pipeline.blocks.model import MODEL_FILE, Model


def train(folder: Path, trainable: Sequence[str], say: Callable[[str], None]) -> tuple[Model, dict[str, Any]]:
    """The model, and what is known of it (`validation.scores`)."""
    pages = read_pages(folder)
    may_train = [number for number, page in enumerate(pages) if page.dataset in trainable]
    if not may_train:
        raise InputError(
            f"{folder}: no page of {', '.join(trainable)}; --sets names the data sets that may supply labels"
        )
    say(f"{len(pages):,} pages, {len(may_train):,} of them may train; trafilatura's texts of them all")
    others = by_trafilatura(pages)
    say("blocks, features and labels")
    examples = [read_example(page) for page in pages]
    lessons = [lesson for number in may_train for lesson in lessons_of(number, examples[number], others[number])]
    say(f"first pass and second, by cross-validation: {N_FOLDS} folds of whole sites")
    matrices, found = two_passes(examples, lessons, folds(pages))
    say("the model, from all of them")
    model = Model(fit([example.features for example in examples], lessons), fit(matrices, lessons))
    return model, validation.scores(folder, examples, lessons, model, found, others, say)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the model of the extractor `blocks`.")
    parser.add_argument("folder", type=Path, help="*.warc.gz and gold.jsonl.gz")
    parser.add_argument("--sets", default=",".join(TRAINABLE), help="data sets that may supply labels")
    arguments = parser.parse_args()
    try:
        if not find_spec("lightgbm"):
            raise ConfigError("training needs LightGBM: pip install -e '.[train]'")
        before = MODEL_FILE.read_bytes()
        model, scores = train(arguments.folder, arguments.sets.split(","), lambda text: print(text, flush=True))
    except RefineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    model.write(MODEL_FILE)
    card.write(scores)
    print(f"{MODEL_FILE.name}: {'as it was' if MODEL_FILE.read_bytes() == before else 'another one'}")
    print(f"word-level F1 of pages not seen, mean of sets: {scores['cross_validated']['mean_of_sets']['words']:.4f}")


if __name__ == "__main__":
    main()
