"""Claim: from WARC to filtered Parquet, everything beside the extractor costs next to nothing.

FineWeb's recipe before deduplication (`configs/fineweb.yaml`: URL list, main text, language, four rule sets; with the packed
corpus, ledgers and token counts at its end) in one process with its sandbox child, over English pages. Beside it a bare loop
over the same extractor on pages that are read and decoded already, and datatrove's same steps with the trafilatura that its
requirements bring (with ours it is as fast: 7.3 pages/s beside 7.0). Then pages in many languages, with `favor: recall` on both
sides, where ours looks at the language of the whole page first (`language_precheck`).
Ratios are by CPU time, children included. Each run of ours has about a second of its own (a new folder, manifests, Dask), which
a few hundred pages do not hide and a crawl does. What was kept is a fact: rule sets and extractor options differ in detail.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.crawl import compiled_blocklist, recipe, write_crawl
from benchmarks.crawl import run as run_refine
from benchmarks.inputs import described, language_model, page_rows, spread, write_lines
from benchmarks.measure import Claim, Findings, Took, Work, compare
from benchmarks.peers import OURS, Peers

N_PAGES = 300
N_FAST_PAGES = 1500  # for resiliparse, whose run would otherwise be its start
SETTINGS = {
    "precision": ["extract.trafilatura.favor=precision"],
    "recall": ["extract.trafilatura.favor=recall"],
    "resiliparse": ["extract.extractor=resiliparse"],
}
AIMS = {"precision": 2.6, "recall": 3.0}


def run(data: Path, seconds: float, peers: Peers) -> Findings:
    rows = page_rows(data)
    all_english = [row for row in rows if row["lang"] == "en"]
    english, many, mixed = (
        {row["warc_record_id"] for row in spread(some, n)}
        for some, n in ((all_english, N_PAGES), (all_english, N_FAST_PAGES), (rows, N_PAGES))
    )
    with TemporaryDirectory() as made:
        folder = Path(made)
        blocklist = compiled_blocklist(data, folder)
        pages, many_pages = write_crawl(data, english, folder / "english"), write_crawl(data, many, folder / "many")
        n_english, n_mixed = len(pages), len(write_crawl(data, mixed, folder / "mixed"))
        size = sum(len(page.encode("utf-8", "replace")) for page in pages) / 1e6
        findings = Findings(
            described(
                data, n_english, f"English pages ({len(many_pages)} for resiliparse; {n_mixed} in all languages)", size
            )
        )
        loop = peers.start("extractors", OURS, pages=write_lines(folder / "pages.jsonl", pages))
        fast_loop = peers.start("extractors", OURS, pages=write_lines(folder / "many.jsonl", many_pages))
        archives = {name: folder / name for name in ("english", "mixed")}
        datatrove = peers.start(
            "datatrove_pipeline", "datatrove", out=folder / "out", archives=archives, language_model=language_model()
        )
        for name, settings in SETTINGS.items():
            bare, crawl, n = (loop, "english", n_english) if name in AIMS else (fast_loop, "many", len(many_pages))
            work: Work = {f"bare loop, {name}": (partial(bare.ask, name), n)} if bare else {}
            work[f"refine, {name}"] = (partial(run_refine, recipe(blocklist, *settings), folder / crawl), n)
            if datatrove and name in AIMS:
                work[f"datatrove, {name}"] = (partial(datatrove.ask, f"english {name}"), n)
            measure(findings, work, seconds / 4)
        checked = recipe(blocklist, "extract.language_precheck=true", *SETTINGS["recall"])
        work = {"refine, all languages, pre-check": (partial(run_refine, checked, folder / "mixed"), n_mixed)}
        if datatrove:
            work["datatrove, all languages"] = (partial(datatrove.ask, "mixed recall"), n_mixed)
        measure(findings, work, seconds / 4)
    claim(findings)
    findings.notes = (
        "The limit is the bare loop of the same extractor. What is above its time is reading, decoding, the sandbox, language, "
        "URLs out of texts, all rules, token counts and Parquet, and what every run costs once."
    )
    return findings


def measure(findings: Findings, work: Work, seconds: float) -> None:
    """One comparison: the settings of ours do not alternate, as each has a sandbox child of its own to start."""
    for name, (call, _) in work.items():
        kept = call()
        findings.facts[f"kept: {name}"] = kept.output if isinstance(kept, Took) else kept
    findings.speeds += compare(work, "pages/s", seconds, is_warm=True)


def claim(findings: Findings) -> None:
    for name, aim in AIMS.items():
        bare, ours = findings.speed(f"bare loop, {name}"), findings.speed(f"refine, {name}")
        if bare is not None and ours is not None:
            what, times = f"WARC to Parquet, {name}, in times of trafilatura alone", bare.cpu_ratio / ours.cpu_ratio
            findings.claims.append(Claim(what, "times", times, 1.15, at_most=True))
        findings.claim_ratio(
            f"WARC to Parquet, {name}, against datatrove", f"refine, {name}", f"datatrove, {name}", aim
        )
    resiliparse, theirs = findings.speed("refine, resiliparse"), findings.speed("datatrove, precision")
    if resiliparse is not None and theirs is not None:
        times = resiliparse.cpu / theirs.cpu  # of two comparisons
        findings.claims.append(Claim("WARC to Parquet, resiliparse, against datatrove", "times", times, 20))
    findings.claim_ratio(
        "the same, all languages, with the pre-check", "refine, all languages, pre-check", "datatrove, all languages", 4
    )
