"""Dask, and nothing else knows it: a cluster on this machine, at an address, or through a batch system.

One process a core, one thread each. Tasks are submitted through a rolling window, so that a plan of 90,000 archives does
not become 90,000 futures at once, and are impure: Dask must not guess that two of them are the same.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, as_completed, get_worker
from distributed.scheduler import NoWorkerError
from distributed.system import MEMORY_LIMIT

from corpus.errors import ConfigError, ShardError
from pipeline.sections import Cluster
from pipeline.steps import listen

_SETTINGS = {
    "distributed.scheduler.allowed-failures": 1_000_000,  # attempts are counted on disk: see pipeline.steps
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": 0.9,
    "distributed.worker.memory.terminate": 0.98,
    "distributed.comm.timeouts.connect": "60s",
    "distributed.admin.tick.limit": "60s",  # kernels hold the interpreter while they compile
    "distributed.admin.tick.interval": "500ms",
    # Dask looks every 10 ms where a worker is, also while that waits for its sandbox child: a quarter of the time of extraction.
    "distributed.worker.profile.enabled": False,
    # Dask's 64 kB, and the 128 kB that glibc then maps apart for good, give the memory of a batch back each time, for the
    # kernel to make it anew: a seventh of the time of all rule sets.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**28,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**25,
    "distributed.nanny.environ": {"PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
}
_WINDOW_TASKS = 2_000  # more than the workers that a batch system may bring while we wait
_TICK_SECONDS = 2.0
CONNECT_SECONDS = 30
# Without any worker on this machine before we give up: Dask does not start one again that died at once.
# (A batch system may take days.)
NO_WORKERS_SECONDS = 300


class _Ticks:
    """Rows done on this worker, passed on to the driver no more often than is useful to a person."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._n_rows = 0
        self._sent = time.monotonic()

    def __call__(self, n_rows: int) -> None:
        self._n_rows += n_rows
        if time.monotonic() - self._sent >= _TICK_SECONDS:
            self.send()

    def send(self) -> None:
        get_worker().log_event(self._topic, self._n_rows)
        self._n_rows, self._sent = 0, time.monotonic()


def _task(topic: str, function: Callable[..., Any], *arguments: Any) -> Any:
    ticks = _Ticks(topic)
    listen(ticks)
    result = function(*arguments)
    ticks.send()
    return result


class DaskWorkers:
    """Runs tasks; a context manager. `workers: 0` runs them in this process (for debuggers)."""

    def __init__(self, config: Cluster, child_bytes: int = 0) -> None:
        """`child_bytes`: address space that each worker's sandbox child may take beside it."""
        self._config = config
        self._child_bytes = child_bytes
        self._cluster: Any = None
        self._client: Client | None = None

    def __enter__(self) -> "DaskWorkers":
        with dask.config.set(_SETTINGS):
            if self._config.scheduler:
                self._client = self._connect(self._config.scheduler)
            else:
                self._cluster = self._jobqueue() if self._config.jobqueue else self._local()
                self._client = Client(self._cluster)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()
        if self._cluster is not None:
            self._cluster.close()

    @property
    def address(self) -> str:
        """Where another run reaches the same workers, as `--scheduler`."""
        assert self._client is not None
        return str(self._client.scheduler.address)

    def _connect(self, address: str) -> Client:
        try:
            return Client(address, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"--scheduler {address}: no Dask scheduler answers ({error}); check the address"
            ) from None

    def _local(self) -> LocalCluster:
        n_workers = CPU_COUNT if self._config.workers == "auto" else self._config.workers
        common = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 40}
        if n_workers == 0:
            return LocalCluster(n_workers=1, processes=False, memory_limit=0, **common)
        share = MEMORY_LIMIT // n_workers
        with dask.config.set({"distributed.scheduler.no-workers-timeout": f"{NO_WORKERS_SECONDS}s"}):
            return LocalCluster(
                n_workers=n_workers, processes=True, memory_limit=max(share - self._child_bytes, share // 2), **common
            )

    def _jobqueue(self) -> Any:
        try:
            import dask_jobqueue
        except ImportError:
            raise ConfigError("cluster.jobqueue needs dask-jobqueue: pip install 'refine-corpus[hpc]'") from None
        options = dict(self._config.jobqueue or {})
        kind, jobs = str(options.pop("kind", "")), int(options.pop("jobs", 1))
        classes = {
            name.removesuffix("Cluster").lower(): name for name in dir(dask_jobqueue) if name.endswith("Cluster")
        }
        if kind not in classes:
            raise ConfigError(f"cluster.jobqueue.kind: {kind!r} should be one of {', '.join(sorted(classes))}")
        options.setdefault("processes", options.get("cores", 1))
        options["job_script_prologue"] = ["export PYTHONSAFEPATH=1", *options.get("job_script_prologue", [])]
        cluster = getattr(dask_jobqueue, classes[kind])(**options)
        cluster.scale(jobs=jobs)
        return cluster

    def run(
        self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], on_tick: Callable[[int], None]
    ) -> Iterator[tuple[int, Any]]:
        """(index of the task, its result) as tasks end; `on_tick` hears of rows done meanwhile.

        An exception in a task is a defect and ends the run. Raises ShardError where there are no workers any more.
        """
        client = self._client
        if client is None:
            raise RuntimeError("the workers have not been started: use `with DaskWorkers(…)`")
        waiting = iter(enumerate(tasks))
        topic = f"refine-{uuid.uuid4().hex[:8]}"
        client.subscribe_topic(topic, lambda event: on_tick(event[1]))
        running = as_completed()
        indexes: dict[str, int] = {}
        for _ in range(_WINDOW_TASKS):
            self._submit_next(topic, function, waiting, running, indexes)
        for future in running:
            try:
                result = future.result()
            except NoWorkerError:
                raise ShardError(
                    "all workers died and could not be started again; run the same command again"
                ) from None
            yield indexes.pop(future.key), result
            self._submit_next(topic, function, waiting, running, indexes)
        client.unsubscribe_topic(topic)

    def _submit_next(
        self,
        topic: str,
        function: Callable[..., Any],
        waiting: Iterator[tuple[int, Any]],
        running: Any,
        indexes: dict[str, int],
    ) -> None:
        following = next(waiting, None)
        if following is None or self._client is None:
            return
        index, arguments = following
        future = self._client.submit(
            _task, topic, function, *arguments, key=f"{topic}-{index:05d}", pure=False, priority=-index
        )
        indexes[future.key] = index
        running.add(future)
