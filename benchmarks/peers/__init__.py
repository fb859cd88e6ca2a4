"""Peers: other toolkits, each set in a virtual environment of its own, running beside us in turns.

    with Peers() as peers:
        peer = peers.start("datatrove_urls", "datatrove", urls=path)    # None where it is missing
        reply = peer.ask("filter")                                      # one round; the peer times itself

Their pins conflict with ours, hence the environments (`.peers/`, made on first use, kept). A script in this folder is the peer's
half: it reads the same input from files and answers a line at a time (`turns.py`). Where an environment cannot be made or a
peer does not start, our half is measured all the same and the report says what is missing and why.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

from benchmarks.measure import Took

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / ".peers"
OURS = "refine"  # the environment that this runs in, for bare extractors
ENVIRONMENTS = {
    # One `pip install` an entry. spaCy has datatrove's English words; lxml's clean-up is missing from its requirements.
    # datatrove's requirements bring trafilatura 1.11.
    "datatrove": (("datatrove[io,processing]==0.10.1", "spacy==3.8.18", "lxml-html-clean==0.4.6"),),
    "suffix-array": (("pydivsufsort==0.0.20",),),
    "sketches": (("rensa==0.5.0", "datasketch==2.0.0", "xxhash==3.6.0"),),
}


class PeerError(Exception):
    """A peer that is not there, or died; the message is one line."""


class Peer:
    """A peer's process. `versions`: of the packages that it says matter."""

    def __init__(self, python: Path, script: str, settings: dict[str, Any]) -> None:
        """Raises PeerError where the script does not get ready."""
        self._name = script
        self._messages = TemporaryFile()  # noqa: SIM115  as long as the process
        replies, to_write = os.pipe()
        command = [str(python), str(HERE / f"{script}.py"), str(to_write), json.dumps(settings, default=str)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment |= {"HF_HOME": str(FOLDER / "downloads"), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self._messages, stderr=subprocess.STDOUT, pass_fds=[to_write],
            env=environment, text=True,
        )  # fmt: skip
        os.close(to_write)
        self._replies = os.fdopen(replies)
        try:
            self.versions: dict[str, str] = self._receive()["versions"]
        except PeerError:
            self.close()
            raise

    def ask(self, call: str) -> Took:
        """Run one round of `call`."""
        self.send(call)
        return self.receive()

    def send(self, call: str) -> None:
        """Start a round without waiting for its end, for peers that work at the same time."""
        assert self._process.stdin is not None
        self._process.stdin.write(call + "\n")
        self._process.stdin.flush()

    def receive(self) -> Took:
        return Took(**self._receive())

    def _receive(self) -> dict[str, Any]:
        line = self._replies.readline()
        if not line:
            self._end()
            self._messages.seek(0)
            said = self._messages.read().decode(errors="replace").strip().splitlines() or ["it ended without a word"]
            raise PeerError(f"{self._name}: {said[-1]}")
        return json.loads(line)

    def _end(self) -> None:
        """The process ends at the end of its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def close(self) -> None:
        self._end()
        self._replies.close()
        self._messages.close()


class Peers:
    """The peers of one benchmark; a context manager. `wanted`: False leaves other toolkits out, bare extractors stay."""

    def __init__(self, wanted: bool = True) -> None:
        self._wanted = wanted
        self._started: list[Peer] = []
        self.missing: list[str] = []
        self.versions: dict[str, str] = {}

    def __enter__(self) -> "Peers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for peer in self._started:
            peer.close()

    def start(self, script: str, environment: str, **settings: Any) -> Peer | None:
        """The peer, ready; None, noted in `missing`, where it cannot be had."""
        if environment != OURS and not self._wanted:
            self.missing.append(f"{script}: not asked for")
            return None
        try:
            peer = Peer(interpreter(environment), script, settings)
        except PeerError as error:
            self.missing.append(str(error))
            return None
        self._started.append(peer)
        self.versions |= {f"{environment}: {package}": version for package, version in peer.versions.items()}
        return peer


def interpreter(environment: str) -> Path:
    """The Python of an environment, which is made where it is not there yet. Raises PeerError."""
    if environment == OURS:
        return Path(sys.executable)
    folder = FOLDER / environment
    python, made = folder / "bin" / "python", folder / "installed.json"
    wanted = json.dumps(ENVIRONMENTS[environment])
    if made.exists() and made.read_text("utf-8") == wanted:
        return python
    print(f"making the environment of {environment} in benchmarks/.peers, once", file=sys.stderr)
    _command([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)], environment)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    for requirements in ENVIRONMENTS[environment]:
        _command([*pip, "install", "--quiet", *requirements], environment)
    made.write_text(wanted, "utf-8")
    return python


def _command(command: list[str], environment: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise PeerError(f"{environment}: cannot be installed: {errors[-1].removeprefix('ERROR: ')}")
