"""Files that exist whole or not at all, on a file system or an object store.

A file is built under an *attempt* name that no reader looks at, and promoted to its real name by the one process that
drives the run, so that a task which ran twice (Dask does that) cannot mix two results. On a local file system the attempt
lies in the target folder, is synced, and is renamed; an object store has no rename, so there it is uploaded once under its
attempt key and copied by the store.
"""

import json
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec
import pyarrow as pa
import xxhash
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from corpus.errors import InputError


def locate(path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """(file system, the path there); an InputError where there is no such file system."""
    try:
        return url_to_fs(path)
    except (ValueError, ImportError) as error:  # an unknown protocol; the package that knows it is not installed
        raise InputError(f"{path}: {error}; mend the path, or install the package") from None


def access_errors() -> tuple[type[Exception], ...]:
    """What a file system raises: OSError, and s3fs for want of credentials or of a connection an error of botocore."""
    botocore = sys.modules.get("botocore.exceptions")
    return (OSError, botocore.BotoCoreError) if botocore else (OSError,)


def is_local(path: str) -> bool:
    return isinstance(locate(path)[0], LocalFileSystem)


def join(folder: str, *parts: str) -> str:
    return "/".join([folder.rstrip("/"), *parts])


def exists(path: str) -> bool:
    fs, inner = locate(path)
    return bool(fs.exists(inner))


def open_input(path: str) -> IO[bytes]:
    """Open for reading; a missing file is an InputError."""
    try:
        return fsspec.open(path, "rb").open()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None


PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}  # endings → Arrow's names; fsspec has no zstd


def open_unpacked(path: str) -> IO[bytes] | pa.CompressedInputStream:
    """Open for reading what a file holds, unpacked if it has an ending of PACKED. Damage is an OSError."""
    file = open_input(path)
    codec = PACKED.get(Path(path).suffix.lower())
    return file if codec is None else pa.CompressedInputStream(file, codec)


def list_folder(folder: str) -> list[str]:
    """Names in a folder, sorted; empty where there is no such folder."""
    fs, inner = locate(folder)
    if not fs.exists(inner):
        return []
    fs.invalidate_cache(inner)
    return sorted(str(entry["name"]).rsplit("/", 1)[-1] for entry in fs.ls(inner, detail=True))


def remove(path: str) -> None:
    """Delete a file or a folder with what is in it, if it is there."""
    fs, inner = locate(path)
    if fs.exists(inner):
        fs.rm(inner, recursive=True)


def info_of(path: str) -> dict[str, Any]:
    """What the file system says of a file; a missing one is an InputError."""
    fs, inner = locate(path)
    try:
        return dict(fs.info(inner))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None


def identity_of(info: dict[str, Any]) -> str:
    """What tells a file from a later one of its name without reading it: size and ETag, else size and mtime."""
    version = (
        info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified") or info.get("created")
    )
    return f"{info.get('size')}:{version}"


def checksum(path: str) -> str:
    """xxh3-128 of a file's bytes, as hex."""
    digest = xxhash.xxh3_128()
    with open_input(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def attempt(final: str) -> Iterator[tuple[Path, str]]:
    """(local file to write, attempt path): when the block ends well the attempt is complete, else nothing of it is left."""
    folder, name = final.rsplit("/", 1)
    attempted = join(folder, f".{name}.{uuid.uuid4().hex[:12]}")
    if is_local(final):
        local = Path(locate(attempted)[1])
        local.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield local, attempted
            _sync(local)
        except BaseException:
            local.unlink(missing_ok=True)
            raise
        return
    with tempfile.TemporaryDirectory(prefix="refine-") as scratch:
        local = Path(scratch) / name
        yield local, attempted
        fs, inner = locate(attempted)
        fs.put_file(str(local), inner)


def promote(attempted: str, final: str) -> None:
    """Give a complete attempt its real name, replacing what was there."""
    fs, source = locate(attempted)
    target = locate(final)[1]
    if isinstance(fs, LocalFileSystem):
        os.replace(source, target)
        _sync(Path(target).parent)
    else:
        fs.mv(source, target)


def write_json(final: str, value: Any) -> None:
    """Write JSON (sorted keys) in one step: a reader sees the old file or the new one."""
    with attempt(final) as (local, attempted):
        local.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    promote(attempted, final)


def read_json(path: str) -> Any:
    with open_input(path) as file:
        return json.load(file)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
