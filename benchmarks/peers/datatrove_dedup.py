"""datatrove's four steps of MinHash deduplication, Parquet to Parquet, 14 × 8 of word 5-grams, as in its example for FineWeb.

Steps are built once and their tasks run one after the other in this process, as its executor would with one worker. Files are
written with zstd, as ours. "cluster_ids" repeats the third step for the clusters' names, which the four steps do not need.
"""

import shutil
from pathlib import Path

from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from turns import SETTINGS, serve

OUT = Path(SETTINGS["out"])
N_FILES = len(list(Path(SETTINGS["documents"]).iterdir()))
CONFIG = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
SIGNATURES, BUCKETS, REMOVED, KEPT, NAMED = (
    str(OUT / name) for name in ("sign", "match", "remove", "kept", "clusters")
)


def dedup() -> int:
    """How many documents are left."""
    shutil.rmtree(OUT, ignore_errors=True)
    sign, match = MinhashDedupSignature(SIGNATURES, CONFIG), MinhashDedupBuckets(SIGNATURES, BUCKETS, config=CONFIG)
    read = ParquetReader(SETTINGS["documents"])
    for rank in range(N_FILES):
        sign.run(read.run(None, rank, N_FILES), rank, N_FILES)
    for rank in range(CONFIG.num_buckets):
        match.run(None, rank, CONFIG.num_buckets)
    MinhashDedupCluster(BUCKETS, REMOVED, CONFIG).run(None, 0, 1)
    n_kept = 0
    for rank in range(N_FILES):
        left = MinhashDedupFilter(REMOVED).run(read.run(None, rank, N_FILES), rank, N_FILES)
        n_kept += sum(1 for _ in ParquetWriter(KEPT, compression="zstd").run(left, rank, N_FILES))
    return n_kept


def cluster_ids() -> str:
    """The folder with a file a shard: (row, cluster) uint32 each, of documents that are not alone."""
    MinhashDedupCluster(BUCKETS, NAMED, CONFIG, save_cluster_id=True).run(None, 0, 1)
    return NAMED


serve({"dedup": dedup, "cluster_ids": cluster_ids}, ("datatrove", "spacy", "numpy"))
