"""RefinedWeb's URL filter (Penedo et al. 2023, appendix G.1): what a page's URL alone says against it, before any parsing.

Signals, all counts:

- `blocklist_matches`: listed domains and URLs that cover the URL (`filters.url_lists.keys` says which do).
  Not measured (NaN, passes) where no blocklist is configured.
- `curated_matches`: the same for the curated sources of table 14, which go into a corpus by other ways than the crawl.
- `strict_words`: words of the strict list that occur anywhere, also broken up by signs (`foobann.edsub-wo.rd`). Broken-up text is
  joined within the host and within each path segment and query part, not across `/ \\ ? & # = : ; @`: the paper does not say how
  far it joins, and joining everything finds words that nobody wrote.
- `hard_words`, `soft_words`: words of these lists that occur as whole words; a word is a run of letters and digits. Several
  words in one line of a list are consecutive words. The paper bans at one hard word and at two soft ones.

Each word counts once a URL, however often it occurs. Words are looked for in all that follows scheme, userinfo and port, with
%XX decoded; bytes beyond ASCII are letters, of which only the lists (not URLs) are put into lower case.

The paper's lists are unpublished and long; ours (`url_lists/*.txt`) are short, because a substring that is spam in one URL is a
town in another. Of 2,843 real page URLs our word lists reject none. Point `strict_words` and so on at your own.

A URL of 70 bytes takes 0.32 to 0.45 µs with UT1 (4.6 million entries): 0.08 to be normalised and hashed, half for the words, an
automaton's step a byte, each of which waits for the one before it; the rest for the blocklist, mostly the memory's.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import types

from corpus.documents import Documents
from corpus.errors import ConfigError
from corpus.kernels import BYTES, OFFSETS, kernel
from corpus.rules import Measurement, Rule
from corpus.text import Texts
from filters.url_lists.automaton import Automaton, automaton_of, count_words
from filters.url_lists.compile import blocklist_of
from filters.url_lists.index import Blocklist, check_blocklist, open_blocklist
from filters.url_lists.keys import (
    SCRATCH_BYTES,
    TABLE,
    copy_stripped,
    count_listed,
    domain_keys,
    is_listed,
    normalise,
    path_keys,
    prefetch_listed,
)

_SOURCE = "RefinedWeb app. G.1"

RULES = (
    Rule("max_blocklist_matches", 0, _SOURCE),
    Rule("max_curated_matches", 0, f"{_SOURCE}, table 14"),
    Rule("max_strict_words", 0, _SOURCE),
    Rule("max_hard_words", 0, _SOURCE),
    Rule("max_soft_words", 1, _SOURCE),
)

# `blocklist`: a file made by `refine blocklist`, or null for none. The others: a text file with one entry a line (`#` comments a
# line out), a list of entries, or null for the list in `url_lists/`. A rule is switched off by its threshold, as everywhere.
OPTIONS: dict[str, object] = {
    "blocklist": None,
    "curated_sources": None,
    "strict_words": None,
    "hard_words": None,
    "soft_words": None,
}

_TEXT_LISTS = ("curated_sources", "strict_words", "hard_words", "soft_words")
_SIGNALS = ("blocklist_matches", "curated_matches", "strict_words", "hard_words", "soft_words")
_BLOCKLIST, _CURATED, _FIRST_WORD_LIST = range(3)  # rows of what the kernel returns, in the order of _SIGNALS
_N_SIGNALS = len(_SIGNALS)

_INT32 = types.Array(types.int32, 1, "C", readonly=True)
_UINT32 = types.Array(types.uint32, 1, "C", readonly=True)


@dataclass(frozen=True, slots=True)
class _Lists:
    """What the options name, compiled; the blocklist is empty where none is configured."""

    blocklist: Blocklist
    curated: Blocklist
    words: Automaton


def measure(documents: Documents, options: Mapping[str, Any]) -> Measurement:
    """Signals of the column `url`. A URL that is null, empty or has no host measures 0 throughout."""
    urls = Texts.of(documents.column("url"))
    lists = _lists(options)
    rows = _measure_urls(
        urls.data,
        urls.offsets,
        lists.blocklist.domains,
        lists.blocklist.paths,
        lists.curated.domains,
        lists.curated.paths,
        lists.words.classes,
        lists.words.table,
        lists.words.reports,
        lists.words.list_of_word,
        lists.words.starts,
    )
    if options["blocklist"] is None:
        rows[_BLOCKLIST] = np.nan
    return Measurement(dict(zip(_SIGNALS, rows, strict=True)))


def identity(options: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the lists in use, after reading all of the blocklist. ConfigError: one is missing, damaged or empty."""
    _lists(options)
    digests = {}
    for name in _TEXT_LISTS:
        entries = "\n".join(sorted(set(_entries(name, options[name]))))
        digests[name] = hashlib.blake2b(entries.encode(), digest_size=32).hexdigest()
    if options["blocklist"] is not None:
        digests["blocklist"] = check_blocklist(options["blocklist"])
    return digests


def _lists(options: Mapping[str, Any]) -> _Lists:
    """What the options name; read and compiled once as long as the files stay as they are."""
    path = options["blocklist"]
    if path is not None and not isinstance(path, str):
        raise ConfigError(f"url.blocklist: {path!r} is not a path; name a file made by `refine blocklist`, or null")
    version = None if path is None else _version(path)
    return _compiled(path, version, *(_entries(name, options[name]) for name in _TEXT_LISTS))


@lru_cache(maxsize=4)
def _compiled(
    blocklist: str | None, version: tuple[int, int, int] | None, curated: tuple[str, ...], *words: tuple[str, ...]
) -> _Lists:
    return _Lists(
        blocklist=blocklist_of(()) if blocklist is None else open_blocklist(blocklist),
        curated=blocklist_of(curated),
        words=automaton_of(*words),
    )


def _version(path: str) -> tuple[int, int, int]:
    """Changes when the file does; (0, 0, 0) for one that opening will complain about."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


def _entries(name: str, option: object) -> tuple[str, ...]:
    """The entries of a list option: a path, a list of strings, or None for the shipped list."""
    if option is None:
        option = str(Path(__file__).parent / "url_lists" / f"{name}.txt")
    if isinstance(option, str):
        return _file_entries(name, option, _version(option))
    if isinstance(option, Sequence) and all(isinstance(entry, str) for entry in option):
        return tuple(option)
    raise ConfigError(f"url.{name}: {option!r} is neither a path nor a list of strings; give one of them, or null")


@lru_cache(maxsize=16)
def _file_entries(name: str, path: str, version: tuple[int, int, int]) -> tuple[str, ...]:
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(
            f"url.{name}: {path!r} cannot be read ({error.strerror}); name a text file, or null"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"url.{name}: {path!r} is not UTF-8 ({error.reason}); convert it, or name another") from error
    lines = [line.strip() for line in lines]
    entries = tuple(line for line in lines if line and not line.startswith("#"))
    if not entries:
        raise ConfigError(f"url.{name}: {path!r} has no entries; add some, or switch the rule off by a null threshold")
    return entries


@kernel(types.float32[:, ::1](BYTES, OFFSETS, TABLE, TABLE, TABLE, TABLE, BYTES, _UINT32, _INT32, OFFSETS, OFFSETS))
def _measure_urls(
    data, offsets, domains, paths, curated_domains, curated_paths, classes, table, reports, list_of_word, starts
):
    """float32[_N_SIGNALS, urls]."""
    n_urls = offsets.size - 1
    rows = np.zeros((_N_SIGNALS, n_urls), np.float32)
    longest = 0
    for url in range(n_urls):
        longest = max(longest, offsets[url + 1] - offsets[url])
    scratch = np.empty(longest + SCRATCH_BYTES, np.uint8)
    keys = np.empty(longest + 1, np.uint64)
    last_url = np.full(list_of_word.size, -1, np.int64)
    for url in range(n_urls):
        start, end = copy_stripped(data, offsets[url], offsets[url + 1], scratch)
        start, host_end, end = normalise(scratch, start, end)
        if host_end == start:
            continue
        n_keys, host_key = domain_keys(scratch, start, host_end, keys)
        prefetch_listed(keys, n_keys, domains)  # the memory works while the words are looked for
        counts = rows[_FIRST_WORD_LIST:, url]
        count_words(scratch, start, end, classes, table, reports, list_of_word, starts, url, last_url, counts)
        rows[_BLOCKLIST, url] = count_listed(keys, n_keys, domains)
        rows[_CURATED, url] = count_listed(keys, n_keys, curated_domains)
        if is_listed(host_key, paths) or is_listed(host_key, curated_paths):
            n_keys = path_keys(scratch, host_end, end, host_key, keys)
            rows[_BLOCKLIST, url] += count_listed(keys, n_keys, paths)
            rows[_CURATED, url] += count_listed(keys, n_keys, curated_paths)
    return rows
