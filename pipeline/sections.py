"""The sections of a recipe: every key with its type, its bounds and its default. `pipeline.config` reads and resolves them."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """Part of a recipe: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def parse_bytes(value: Any) -> Any:
    """`512MB`, `2GiB` or a whole number, as a number of bytes."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", value.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise ValueError("should be a size such as 512MB or 2GiB")
    return int(float(match[1]) * _UNITS[match[2]])


Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]


class Cascade(Section):
    """The fallback gets the pages of which the first extractor is less sure than this."""

    first: str
    fallback: str
    min_confidence: Fraction


class Extract(Section):
    extractor: str | Cascade = "trafilatura"
    timeout_seconds: float = Field(5.0, gt=0)  # CPU seconds a page
    memory: Bytes = 2 * 2**30  # address space of the sandbox child
    language_precheck: bool = False  # skip pages whose whole text is confidently in another language


class Filter(Section):
    rulesets: list[str] = Field(default=["gopher_repetition", "gopher_quality", "refinedweb_lines"])
    languages: dict[str, Any] | None = None  # thresholds and options by language; see `filters.language_tables`


class MinHash(Section):
    bands: int = Field(14, ge=1)
    rows: int = Field(8, ge=1)
    ngram: int = Field(5, ge=1)
    seed: int = Field(1, ge=0)
    scheme: Literal["minhash", "sketch"] = "minhash"


class Substring(Section):
    min_tokens: int = Field(50, ge=1)
    action: Literal["cut", "cut_later", "mask", "drop_partial", "drop_any"] = "cut"
    max_duplicate_fraction: Annotated[float, Field(ge=0, le=1)] = 0.2
    min_characters_left: int = Field(20, ge=0)


class Highest(Section):
    highest: str  # a numeric column of the documents, or a signal in the ledger of the stage before


class Dedup(Section):
    methods: list[Literal["urls", "exact", "minhash", "substring"]] = Field(["urls", "exact", "minhash"], min_length=1)
    unit: Literal["words", "tokens"] = "words"  # what is compared; tokens are those of output.tokenizer
    minhash: MinHash = MinHash()
    store_signatures: bool = False  # for datasketch; see `dedup.signatures`
    substring: Substring = Substring()
    store_tokens: bool = False  # 0.36 bytes a byte of text, for later runs that find substrings `against` this one
    keep: Literal["first", "longest", "newest"] | Highest = "first"
    scope: Literal["all", "dump"] = "all"
    verify: bool = False  # whether pairs that share a band must have min_jaccard as well, by their shingles
    min_jaccard: Fraction = 0.75
    store_shingles: bool = False  # 0.47 bytes a byte of text, for later runs that verify pairs `against` this one
    max_bucket_documents: int = Field(16, ge=2)  # in a larger bucket, each is paired with its first only
    memory: Bytes = 2 * 2**30  # of one matching task
    against: list[str] = []  # earlier runs, or their dedup stages; see `pipeline.stages.dedup_against`


class Decontaminate(Section):
    evals: list[str] | None = None
    fields: str | None = None  # a YAML that names each set's text fields; None = the one we ship
    method: Literal["default", "gpt3", "palm", "llama2"] = "default"
    passages: bool = False  # whether a passage (BoolQ, SQuAD) without its question is contamination
    max_document_frequency: int = Field(10, ge=1)  # 13-grams in more documents are common phrases
    action: Literal["drop", "cut", "tag"] | None = None  # None = the method's: gpt3 cuts, the others drop
    window_characters: int = Field(200, ge=0)
    min_piece_characters: int = Field(200, ge=0)
    max_pieces: int = Field(10, ge=1)


class Output(Section):
    shard_bytes: Bytes = 512 * 10**6
    tokenizer: str = "gpt2"


class Guards(Section):
    """From `min_documents` on: what no sane configuration does to a corpus."""

    min_documents: int = Field(default=10_000, ge=0)
    max_ruleset_removal: Fraction = 0.8
    max_substring_removal: Fraction = 0.5  # of the text that dedup's other methods left
    max_cluster_documents: int = Field(default=1_000, ge=1)
    max_cluster_share: Fraction = 0.01


class Cluster(Section):
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"  # 0: in this process
    scheduler: str | None = None
    jobqueue: dict[str, Any] | None = None  # {kind: slurm|pbs|lsf|…, jobs: N, and dask-jobqueue's own arguments}


STAGES: dict[str, type[Section]] = {
    "extract": Extract,
    "filter": Filter,
    "dedup": Dedup,
    "decontaminate": Decontaminate,
}
