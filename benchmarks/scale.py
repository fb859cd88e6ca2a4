"""Claim: dedup grows no faster than its corpus, finds what is planted, and takes a twentieth of datatrove's time.

Corpora with known duplicates (`benchmarks.generate_corpus`) through the command `refine dedup` with two workers. For each size:
what its parts take (sign: digests and bands; match: equal texts and pairs; cluster; write), and what was found of what was
planted: copies, clusters with documents of two families, and pairs by similarity, beside P(s) of their exact similarities, of
families of two different texts, which no third one can join. Disk is compared with the estimate made before bands are signed.

100,000 documents, also at 450 × 20; with `--seconds 200` a million besides, with 2,000 ten million, which take 15 GB while they
are measured (TMPDIR says where).

datatrove's four steps (signatures, buckets, clusters, filter) alternate with ours on a corpus that it can do in minutes, each in
one process. The two hash differently, so of the pairs that P(s) leaves to chance each finds others.
"""

import io
import shutil
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.generate_corpus import SHARD_DOCUMENTS, PlantedCorpus, words_of
from benchmarks.measure import Claim, Findings, Work, compare
from benchmarks.peers import Peers
from benchmarks.watch import StepTook, disk_mb, watch
from corpus import storage
from corpus.dataset import StageFolder
from corpus.text import Texts
from dedup.minhash import MinHashSettings
from dedup.verification import jaccard, overlaps, shingle_sets
from pipeline.config import stage_recipe
from pipeline.progress import Progress
from pipeline.run import run_recipe
from pipeline.stage_run import RunOptions
from pipeline.stages.dedup_estimate import disk_estimate
from pipeline.steps import load_plan

SIZES = (100_000, 1_000_000, 10_000_000)
DOCUMENTS_A_SECOND = 5_000  # of the time that is given: what decides the sizes
MIN_DOCUMENTS = 3_000
PEER_DOCUMENTS_A_SECOND = 10  # with `--seconds 2000`, what datatrove does in three rounds of three minutes
N_WORKERS = 2
SETTINGS = {"14x8": MinHashSettings(), "450x20": MinHashSettings(450, 20, scheme="sketch")}
PARTS = {
    "sign": ("digests", "bands"),
    "match": ("duplicates", "edges", "pairs"),
    "cluster": ("clusters",),
    "write": ("dedup",),  # documents
}
BINS = (0.5, 0.6, 0.7, 0.8, 0.9)
MOST_PAIRS = 20_000  # whose exact similarity is measured
ENOUGH_PAIRS = 500  # in a bin, for its recall to mean something
MAX_DISTANCE = 0.06  # of a bin's recall from P(s): three standard errors of ENOUGH_PAIRS
MAX_GROWTH = 1.2  # of the CPU time a document, from the smallest corpus to the largest
MAX_ESTIMATE_ERROR = 0.2

Clusters = NDArray[np.int64]  # for each document the first of those that it was found equal to, itself if there is none


def run(data: Path, seconds: float, peers: Peers) -> Findings:
    words = words_of(data)
    sizes = [size for size in SIZES if size <= seconds * DOCUMENTS_A_SECOND] or [MIN_DOCUMENTS]
    findings = Findings(f"{' and '.join(f'{size:,}' for size in sizes)} documents, words of the folder {data.name}")
    runs = [(sizes[0], "450x20"), *((size, "14x8") for size in sizes)]
    for size, name in runs:
        corpus = PlantedCorpus(words, size)
        with TemporaryDirectory() as made:
            measure(findings, corpus, name, Path(made))
    for smaller, larger in pairwise(sizes):
        cpu = [float(findings.facts[f"14x8, {size:,}: CPU microseconds a document"]) for size in (smaller, larger)]
        what = f"CPU time a document, {larger:,} against {smaller:,}"
        findings.claims.append(Claim(what, "times", cpu[1] / cpu[0], MAX_GROWTH, at_most=True))
    n_beside = max(round(seconds * PEER_DOCUMENTS_A_SECOND), MIN_DOCUMENTS)
    beside_datatrove(findings, PlantedCorpus(words, n_beside), peers)
    findings.notes = (
        "Documents are read three times, for digests, bands and the result; their words are found twice, in half of the time. "
        "Memory is two workers' and the command's own; one task finds the clusters."
    )
    return findings


def measure(findings: Findings, corpus: PlantedCorpus, name: str, made: Path) -> None:
    """One corpus through the command, in processes of its own."""
    documents, out = made / "documents", made / "dedup"
    corpus.write(documents)
    settings = SETTINGS[name]
    minhash = f"dedup.minhash={{bands: {settings.bands}, rows: {settings.rows}, scheme: {settings.scheme}}}"
    where = [str(documents / "*.parquet"), "--out", str(out)]
    steps = watch(["dedup", *where, "--workers", str(N_WORKERS), "--set", minhash], out)
    facts, of = findings.facts, f"{name}, {len(corpus):,}"
    for part, names in PARTS.items():
        took = StepTook()
        for step in names:
            took.add(steps[step])
        facts |= {
            f"{of}: {part}: seconds": round(took.seconds, 1),
            f"{of}: {part}: CPU seconds": round(took.cpu_seconds, 1),
            f"{of}: {part}: peak memory, MB": round(took.peak_memory_mb),
            f"{of}: {part}: disk, MB": round(took.disk_mb, 1),
        }
    total = StepTook()
    for took in steps.values():
        total.add(took)
    facts |= {
        f"{of}: seconds": round(total.seconds, 1),
        f"{of}: CPU microseconds a document": round(total.cpu_seconds / len(corpus) * 1e6, 1),
        f"{of}: peak memory, MB": round(total.peak_memory_mb),
        f"{of}: input, MB": round(disk_mb(documents), 1),
        f"{of}: disk, MB": round(total.disk_mb, 1),
    }
    estimate = sum(disk_estimate(load_plan(StageFolder(str(out)))).values()) / 1e6
    facts[f"{of}: disk as estimated, MB"] = round(estimate, 1)
    if len(corpus) >= SIZES[0]:
        error = abs(estimate / total.disk_mb - 1)
        findings.claims.append(Claim(f"{of}: error of the disk estimate", "", error, MAX_ESTIMATE_ERROR, at_most=True))
    found = ledger_clusters(out)
    against_truth(findings, of, corpus, found)
    recall_of_pairs(findings, of, corpus, found, settings)


def ledger_clusters(out: Path) -> Clusters:
    """The clusters of a stage's ledger."""
    found = []
    for path in sorted((out / "ledger").iterdir()):
        key = pq.read_table(path, columns=["cluster_id"])["cluster_id"]
        own = pa.array(np.arange(len(key)) + (int(path.stem[5:]) << 32))
        found.append(pc.coalesce(key, own).to_numpy())
    keys = np.concatenate(found)
    first = np.concatenate([[0], np.cumsum([len(part) for part in found])])
    return first[keys >> 32] + (keys & 0xFFFFFFFF)


def against_truth(findings: Findings, of: str, corpus: PlantedCorpus, found: Clusters) -> None:
    """What was found of what was planted."""
    family, alone = corpus.family, np.arange(len(corpus))
    findings.facts |= {
        f"{of}: copies planted": len(corpus) - len(np.unique(family)),
        f"{of}: copies found": int(np.count_nonzero(found != alone)),
        f"{of}: clusters of two families": len(np.unique(found[family != family[found]])),
    }


def recall_of_pairs(
    findings: Findings, of: str, corpus: PlantedCorpus, found: Clusters, settings: MinHashSettings
) -> None:
    """By similarity, beside P(s)."""
    left, right = lone_pairs(corpus)
    similarity = exact_jaccard(corpus, left, right)
    is_found = found[left] == found[right]
    expected = 1 - (1 - similarity**settings.rows) ** settings.bands
    for low, high in zip(BINS, (*BINS[1:], 1.0), strict=True):
        here = (similarity >= low) & (similarity < high)
        if here.any():
            recall, theory = float(is_found[here].mean()), float(expected[here].mean())
            findings.facts |= {
                f"{of}: pairs from {low}": int(here.sum()),
                f"{of}: recall from {low}": round(recall, 4),
                f"{of}: P(s) from {low}": round(theory, 4),
            }
            if here.sum() >= ENOUGH_PAIRS:
                what = f"{of}: recall of pairs from {low} on, distance from P(s)"
                findings.claims.append(Claim(what, "", abs(recall - theory), MAX_DISTANCE, at_most=True))


def lone_pairs(corpus: PlantedCorpus) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Documents that are a family of two, and whose texts may differ: no third one can join them."""
    order = np.argsort(corpus.family, kind="stable")
    family = corpus.family[order]
    starts = np.flatnonzero(np.diff(family, prepend=-1))
    starts = starts[np.diff(starts, append=len(family)) == 2]
    left, right = order[starts], order[starts + 1]
    differ = (corpus.share[left] > 0) | (corpus.share[right] > 0)
    return left[differ][:MOST_PAIRS], right[differ][:MOST_PAIRS]


def exact_jaccard(corpus: PlantedCorpus, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of pairs of documents, by the shingles that are signed."""
    texts = Texts.of(corpus.texts(np.concatenate([left, right])))
    ((text, sets),) = shingle_sets(texts, MinHashSettings(), 1)
    offsets = np.searchsorted(text, np.arange(len(texts) + 1))
    at = np.arange(len(left))
    return jaccard(*overlaps(sets, offsets, at, at + len(left))).astype(np.float64)


def dedup_here(documents: Path, out: Path, seed: int = 1) -> int:
    """Equal texts and near-duplicates in this process, as the peer does it; how many documents are left."""
    shutil.rmtree(out, ignore_errors=True)
    chosen = ["cluster.workers=0", "dedup.methods=[exact, minhash]", f"dedup.minhash.seed={seed}"]
    options, progress = RunOptions(str(out)), Progress(Console(file=io.StringIO()))
    paths = [str(documents / "*.parquet")]
    run_recipe(stage_recipe("dedup", None, chosen), paths, options, progress, lambda warning: None, packed=False)
    counts = storage.read_json(str(out / "manifest.json"))["counts"]
    return sum(row["documents"] for row in counts if row["reason"] is None)


def beside_datatrove(findings: Findings, corpus: PlantedCorpus, peers: Peers) -> None:
    of, facts = f"beside datatrove, {len(corpus):,}", findings.facts
    with TemporaryDirectory() as made:
        documents, out = Path(made, "documents"), Path(made, "dedup")
        corpus.write(documents)
        dedup_here(documents, out, seed=2)
        other_seed = ledger_clusters(out)
        work: Work = {"refine": (partial(dedup_here, documents, out), len(corpus))}
        peer = peers.start("datatrove_dedup", "datatrove", documents=documents, out=Path(made, "datatrove"))
        if peer:
            work["datatrove"] = (partial(peer.ask, "dedup"), len(corpus))
        findings.speeds = compare(work, "documents/s", 0.0, is_warm=True)
        ours = ledger_clusters(out)
        against_truth(findings, f"{of}: refine", corpus, ours)
        if peer:
            theirs = clusters_of_datatrove(Path(peer.ask("cluster_ids").output), len(corpus))
            against_truth(findings, f"{of}: datatrove", corpus, theirs)
            facts[f"{of}: documents in the same cluster"] = round(share_in_same_clusters(ours, theirs), 4)
            facts[f"{of}: the same, refine with another seed"] = round(share_in_same_clusters(ours, other_seed), 4)
    findings.claim_ratio("dedup, Parquet to Parquet, 14 × 8, against datatrove's four steps", "refine", "datatrove", 20)


def clusters_of_datatrove(folder: Path, n_documents: int) -> Clusters:
    """From its files: (row, cluster) of the documents of a shard that are not alone."""
    found = np.arange(n_documents)
    rows, names = [], []
    for path in sorted(folder.glob("*.clusters")):
        row, name = np.fromfile(path, "<u4").reshape(-1, 2).T.astype(np.int64)
        rows.append(row + int(path.stem) * SHARD_DOCUMENTS)
        names.append(name)
    row, name = np.concatenate(rows), np.concatenate(names)
    order = np.lexsort((row, name))
    starts = np.flatnonzero(np.diff(name[order], prepend=-1))
    found[row[order]] = np.repeat(row[order[starts]], np.diff(starts, append=len(order)))
    return found


def share_in_same_clusters(left: Clusters, right: Clusters) -> float:
    """The share of documents whose clusters have the same members on both sides."""
    _, both, n_both = np.unique(left * len(left) + right, return_inverse=True, return_counts=True)
    same = (n_both[both] == np.bincount(left)[left]) & (n_both[both] == np.bincount(right)[right])
    return float(same.mean())
