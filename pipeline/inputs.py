"""What a stage reads: archives, a dataset of ours, or any Parquet or JSONL with a text column.

Shard numbers come from the sorted list of inputs, frozen in `inputs.json` at the first run; inputs that come later are
appended, so no shard is ever renumbered.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from corpus import storage
from corpus.dataset import StageFolder, part_name, stage_folders
from corpus.errors import InputError, IntegrityError, ShardError
from corpus.schema import DOCUMENTS
from pipeline.json_lines import json_columns, json_tables
from pipeline.text_columns import FORMS, columns_of, find_form, text_of

BATCH_DOCUMENTS = 1_000
ARCHIVE_ENDINGS = (".warc", ".arc", ".wet", ".warc.gz", ".arc.gz", ".wet.gz", ".warc.lz4", ".warc.wet", ".warc.wet.gz")
TEXT_ENDINGS = (".parquet", ".jsonl", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".ndjson")

UNREADABLE = (OSError, EOFError, zlib.error)  # what a damaged or truncated file raises, compressed or not
OURS = "xxh3:"  # begins the identity of a shard that a receipt vouches for

Input = dict[str, Any]  # {"path": str, "identity": str | None}; None = not there (yet)


def find_inputs(patterns: Sequence[str], endings: tuple[str, ...]) -> list[Input]:
    """Files named by paths, folders or globs, sorted, each once. Raises InputError for a pattern without any."""
    found: dict[str, Input] = {}
    for pattern in patterns:
        infos = _expand(pattern, endings)
        if not infos:
            raise InputError(f"{pattern}: no file found; expected files ending in {', '.join(endings)}")
        found |= {path: {"path": path, "identity": storage.identity_of(info)} for path, info in infos.items()}
    if not found:
        raise InputError("no input given; name files, folders or patterns such as 'crawl/*.warc.gz'")
    return [found[path] for path in sorted(found)]


def _expand(pattern: str, endings: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Each path with what its file system says of it: one listing, not a question a file."""
    fs, inner = storage.locate(pattern)
    if _is_pattern(pattern):
        infos = fs.glob(inner, detail=True)
    elif fs.isdir(inner):
        infos = {
            name: info
            for name, info in fs.find(inner, detail=True).items()
            if name.endswith(endings) and "/." not in name
        }
    else:
        return {pattern: storage.info_of(pattern)}
    return {_as_given(pattern, str(name)): info for name, info in infos.items() if info["type"] == "file"}


def _is_pattern(path: str) -> bool:
    """Names may have brackets: what is there is no pattern."""
    return any(character in path for character in "*?[") and not storage.exists(path)


def _as_given(pattern: str, name: str) -> str:
    """A path found by fsspec in the form the pattern had: with its protocol, or relative if it was."""
    protocol, separator, _ = pattern.partition("://")
    if separator:
        return protocol + separator + name
    root = str(storage.locate(".")[1]).rstrip("/") + "/"
    return name if pattern.startswith("/") else name.removeprefix(root)


def dataset_folder(path: str) -> StageFolder | None:
    """The stage whose documents are meant by the folder of a run (its corpus) or of a stage; None if it is neither."""
    if _is_pattern(path):
        return None
    if storage.exists(storage.join(path, "run.json")):
        return stage_folders(path)[-1][1]
    folder = StageFolder(path)
    return folder if storage.exists(folder.manifest_file) else None


def stage_inputs(folder: StageFolder) -> list[Input]:
    """The documents of a stage of ours as inputs of the next: known by checksum; a missing shard keeps its number."""
    receipts = folder.receipts()
    if any("documents" not in receipt.outputs for receipt in receipts.values()):
        raise InputError(f"{folder.url}: holds what was measured of documents, not documents; name those")
    n_shards = len(storage.read_json(folder.inputs_file)) if storage.exists(folder.inputs_file) else len(receipts)
    return [
        {
            "path": folder.file("documents", shard),
            "identity": OURS + receipts[shard].outputs["documents"]["checksum"] if shard in receipts else None,
        }
        for shard in range(n_shards)
    ]


def order_inputs(folder: StageFolder, inputs: list[Input]) -> list[Input]:
    """The inputs in their lasting order: those of earlier runs first. Raises InputError if the folder holds a run of others."""
    frozen = (
        [entry["path"] for entry in storage.read_json(folder.inputs_file)] if storage.exists(folder.inputs_file) else []
    )
    given = {entry["path"]: entry for entry in inputs}
    gone = [path for path in frozen if path not in given]
    if gone:
        raise InputError(
            f"{folder.url}: holds a run of other inputs ({gone[0]!r} is not among those given); name them all, or another --out"
        )
    known = set(frozen)
    return [given[path] for path in [*frozen, *(path for path in given if path not in known)]]


def freeze_inputs(folder: StageFolder, inputs: list[Input]) -> list[Input]:
    """The same, and written down: from now on a shard's number is its place in `inputs.json`."""
    ordered = order_inputs(folder, inputs)
    storage.write_json(folder.inputs_file, [{"path": entry["path"]} for entry in ordered])
    return ordered


def read_documents(
    source: Input, text_column: str, sample: float | None, *, labels_only: bool = False
) -> Iterator[tuple[pa.Array, pa.RecordBatch]]:
    """(source rows int64, documents) in batches; ours or anybody's Parquet or JSONL, brought to our schema.

    `labels_only`: of the columns beside the text, only what a ledger shows of a document and can be read as such. A dataset
    of ours is checked against its checksum first. Raises ShardError if the file cannot be read.
    """
    path = source["path"]
    if source["identity"].startswith(OURS) and OURS + storage.checksum(path) != source["identity"]:
        raise IntegrityError(f"{path}: its bytes are not those of its receipt; run the stage that made it again")
    first = 0
    try:
        for batch in _batches(path, text_column if labels_only else None):
            rows = pa.array(range(first, first + batch.num_rows), pa.int64())
            first += batch.num_rows
            documents = as_documents(batch, text_column, path)
            if sample is not None:
                mask = in_sample(documents.column("id"), sample)
                rows, documents = rows.filter(mask), documents.filter(mask)
            yield rows, documents
    except (*UNREADABLE, pa.ArrowException) as error:
        raise ShardError(f"{path}: cannot be read: {' '.join(str(error).split())[:300]}") from None


def _batches(path: str, labels_of: str | None = None) -> Iterator[pa.RecordBatch]:
    """Rows as the file has them; with `labels_of`, only the columns of this text and those that label it."""
    if path.endswith(".parquet"):
        with storage.open_input(path) as file:
            parquet = pq.ParquetFile(file)
            columns = _labels(parquet.schema_arrow, labels_of) if labels_of else None
            yield from parquet.iter_batches(BATCH_DOCUMENTS, columns=columns)
        return
    for table in json_tables(path):
        chosen = table.select(_labels(table.schema, labels_of)) if labels_of else table
        yield from chosen.to_batches(max_chunksize=BATCH_DOCUMENTS)


def _labels(schema: pa.Schema, text_column: str) -> list[str]:
    """The columns of the text, and those of a ledger that have a type which it can take."""
    wanted = columns_of(text_column, schema.names)

    def is_label(field: pa.Field) -> bool:
        if pa.types.is_integer(field.type):
            return field.name in ("id", "token_count")
        is_string = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        return is_string and field.name in ("id", "url", "dump", "language")

    return [field.name for field in schema if field.name in wanted or is_label(field)]


def as_documents(batch: pa.RecordBatch, text_column: str, path: str) -> pa.RecordBatch:
    """Our columns first, in our types; then whatever else the batch has, untouched."""
    columns: dict[str, pa.Array] = {}
    for field in DOCUMENTS:
        if field.name == "text":
            columns["text"] = as_utf8(text_of(batch, text_column, path))
            continue
        if field.name not in batch.schema.names:
            columns[field.name] = pa.nulls(batch.num_rows, field.type)
            continue
        try:
            columns[field.name] = as_utf8(batch.column(field.name).cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            kind = batch.schema.field(field.name).type
            raise ShardError(
                f"{path}: column {field.name!r} is {kind} and cannot become {field.type}; rename it"
            ) from None
    columns["id"] = _ids(columns["id"], columns["url"], columns["text"])
    names = batch.schema.names
    if text_column in names and not pa.types.is_nested(batch.schema.field(text_column).type):  # it is the text, renamed
        names = [name for name in names if name != text_column]
    others = {name: batch.column(name) for name in names if name not in columns}
    return pa.RecordBatch.from_pydict(columns | others)


def as_utf8(column: pa.Array) -> pa.Array:
    """Bytes that are no UTF-8, which Arrow's readers let through, as U+FFFD: kernels do not look out for them."""
    try:
        column.validate(full=True)
        return column
    except pa.ArrowInvalid:
        repaired = [value and value.decode("utf-8", "replace") for value in column.cast(pa.large_binary()).to_pylist()]
        return pa.array(repaired, column.type)


def _ids(ids: pa.Array, urls: pa.Array, texts: pa.Array) -> pa.Array:
    """A digest of URL and text where a document has no id."""
    if not ids.null_count:
        return ids
    made = [
        given.as_py()
        if given.is_valid
        else "xxh3:" + xxhash.xxh3_128_hexdigest(f"{url.as_py() or ''}\n{text.as_py() or ''}".encode())
        for given, url, text in zip(ids, urls, texts, strict=True)
    ]
    return pa.array(made, pa.string())


def in_sample(ids: pa.Array, fraction: float) -> pa.BooleanArray:
    """Which ids belong to a sample: the same id always does or does not, and a larger fraction holds a smaller one."""
    limit = int(fraction * 2**64)
    return pa.array([xxhash.xxh3_64_intdigest((name or "").encode()) < limit for name in ids.to_pylist()], pa.bool_())


def check_column(source: Input, column: str, fix: str) -> None:
    """Before anything starts: the first input has the column. Raises InputError that says what to do otherwise."""
    names = _column_names(source)
    for name in columns_of(column, names) if names else ():
        if name not in names:
            raise InputError(f"{source['path']}: no column {name!r}; its columns are {', '.join(names)}: {fix}")


def find_text(inputs: Sequence[Input]) -> str:
    """The form of the text in a corpus that others made, from the first input that has rows. Raises InputError."""
    for source in inputs:
        if names := _column_names(source):
            if (form := find_form(names)) is None:
                raise InputError(
                    f"{source['path']}: no text found in its columns {', '.join(names)}; known are "
                    f"{', '.join(map(repr, FORMS))}: name it by --text-column"
                )
            return form
    raise InputError("no input has a row; check the paths")


def _column_names(source: Input) -> list[str]:
    """None where the file has no rows."""
    path = source["path"]
    try:
        if path.endswith(".parquet"):
            with storage.open_input(path) as file:
                parquet = pq.ParquetFile(file)
                return list(parquet.schema_arrow.names) if parquet.metadata.num_rows else []
        return json_columns(path)
    except (*UNREADABLE, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: neither Parquet nor JSONL: {' '.join(str(error).split())[:200]}") from None


def describe(shard: int, source: Input) -> str:
    return f"{part_name(shard)} ({source['path']})"
