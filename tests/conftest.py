"""What several test files share."""

import csv
import hashlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from rich.console import Console

from pipeline.config import Recipe, read_recipe
from pipeline.progress import Progress
from pipeline.run import run_recipe
from pipeline.stage_run import RunOptions

# No test depends on the time it takes, and kernels compile at first use.
settings.register_profile("refine", deadline=None)
settings.load_profile("refine")

PROJECT = Path(__file__).resolve().parent.parent
REFINE = Path(sys.executable).with_name("refine")  # the console script of the environment that runs the tests
SAMPLES = PROJECT / "data_samples"
CRAWL = str(SAMPLES / "crawl" / "*")
SAMPLE_SETTINGS = [
    f"decontaminate.evals=[{SAMPLES / 'evals'}]",
    f"decontaminate.fields={SAMPLES / 'eval_fields.yaml'}",
    "extract.timeout_seconds=2",
]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real pages, odd archives and evaluation sets that are kept beside the project, not in it."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/data with real crawls is not here")
    return folder


@pytest.fixture(scope="session")
def blocklist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from filters.url_lists.compile import compile_blocklist

    path = tmp_path_factory.mktemp("blocklist") / "samples.idx"
    compile_blocklist([str(SAMPLES / "blocklist.txt")], str(path))
    return path


@pytest.fixture(scope="session")
def gpt2_json(tmp_path_factory: pytest.TempPathFactory) -> str:
    """GPT-2 as a Hugging Face `tokenizer.json`."""
    from benchmarks.tokens import huggingface_gpt2

    path = str(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json")
    huggingface_gpt2().save(path)
    return path


def sample_recipe(blocklist: Path, *settings: str) -> Recipe:
    """configs/quickstart.yaml over the sample crawl's own lists, in this process."""
    every = [*SAMPLE_SETTINGS, f"extract.url.blocklist={blocklist}", "cluster.workers=0", *settings]
    return read_recipe(str(PROJECT / "configs" / "quickstart.yaml"), every)


def run(
    recipe: Recipe, out: Path, inputs: str | list[str] = CRAWL, *, packed: bool = True, **options: object
) -> list[str]:
    """Run a recipe as the command would; returns the warnings."""
    warnings: list[str] = []
    patterns = [inputs] if isinstance(inputs, str) else inputs
    progress = Progress(Console(file=io.StringIO()))
    run_recipe(recipe, patterns, RunOptions(str(out), **options), progress, warnings.append, packed=packed)  # type: ignore[arg-type]
    return warnings


def refine(*arguments: object, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """The command as a user calls it."""
    command = [str(REFINE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


def digests(out: Path) -> dict[str, str]:
    """The bytes of everything that identifies a dataset: not plans, timings, or the lock."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*.parquet"))
        if not path.name.startswith(".")
    }


def fates() -> list[dict[str, str]]:
    with (SAMPLES / "fates.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory, blocklist: Path) -> Path:
    """The sample crawl through the whole recipe. Read only."""
    out = tmp_path_factory.mktemp("sample") / "dataset"
    run(sample_recipe(blocklist), out)
    return out


class InTurn:
    """Workers without Dask, for tests that run a hundred stages."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> "InTurn":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, function, tasks, on_tick):
        return ((number, function(*task)) for number, task in enumerate(tasks))


@pytest.fixture(scope="class")
def in_turn() -> Iterator[None]:
    """Stages in no time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipeline.cluster.DaskWorkers", InTurn)
        patched.setattr("os.fsync", lambda _: None)
        yield
