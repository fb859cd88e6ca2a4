"""datatrove's steps of FineWeb before deduplication, WARC to Parquet, one task: built once, run as its executor chains them.

Defaults but for the time that a page may take: five seconds as on our side, not one, so that a busy machine drops no pages.
trafilatura's `deduplicate` stays on. The model of the language filter is the small lid.176.ftz, as on our side; its own
download would be the large lid.176.bin.
"""

import shutil
from functools import partial
from multiprocessing import active_children
from pathlib import Path

from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.lid import FT176LID
from turns import SETTINGS, serve

FT176LID.MODEL_URL = SETTINGS["language_model"]
EXTRACTORS = {
    "precision": Trafilatura(favour_precision=True, timeout=5),
    "recall": Trafilatura(favour_precision=False, favor_recall=True, timeout=5),
}
URLS = URLFilter()
FILTERS = [
    LanguageFilter("en"),
    GopherRepetitionFilter(),
    GopherQualityFilter(),
    C4QualityFilter(filter_no_terminal_punct=False),
    FineWebQualityFilter(),
]


def kept(archives: str, extractor: str) -> int:
    out = Path(SETTINGS["out"])
    shutil.rmtree(out, ignore_errors=True)
    steps: list[PipelineStep] = [WarcReader(archives), URLS, EXTRACTORS[extractor], *FILTERS, ParquetWriter(str(out))]
    documents = None
    for step in steps:
        documents = step.run(documents, 0, 1)
    n_kept = sum(1 for _ in documents)
    # Its extractor waits a tenth of a second only, and CPU time counts once a child is joined.
    for child in active_children():
        child.join()
    return n_kept


URLS.download_data()
serve(
    {
        f"{folder} {extractor}": partial(kept, path, extractor)
        for folder, path in SETTINGS["archives"].items()
        for extractor in EXTRACTORS
    },
    ("datatrove", "trafilatura", "spacy", "fasttext-numpy2-wheel", "warcio"),
)
