"""The broker's released jars: by coordinates, with the checksums that stand in ``kafka.lock.json``.

``fetch`` needs a network once; afterwards the folder is enough. Whoever raises Kafka's version runs
``python -m ops.local.jars lock`` (resolves anew, writes the lock file) and commits the result.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import msgspec
from jgo.maven import MavenContext

from ops.local.refusal import Refusal

LOCK: Final = Path(__file__).with_name("kafka.lock.json")
WANTED: Final = (
    "org.apache.kafka:kafka_2.13:4.3.0",
    # By name, else the resolver takes an old kafka-clients from another project's BOM and the broker dies with NoSuchMethodError.
    "org.apache.kafka:kafka-clients:4.3.0",
    "org.apache.kafka:kafka-server-common:4.3.0",
    "org.slf4j:slf4j-simple:1.7.36",
)
_TRIES: Final = 3


class Jar(msgspec.Struct, frozen=True):
    """One released file."""

    coordinates: str
    """group:artifact:version."""
    sha256: str
    size: int
    """Bytes."""

    @property
    def file(self) -> str:
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


Progress = Callable[[int, int, str], None]
"""(files there, files wanted, the last one's name)."""


def locked(lock: Path = LOCK) -> list[Jar]:
    """The jars as the lock file names them."""
    return msgspec.json.decode(lock.read_bytes(), type=list[Jar])


def lacking(folder: Path, jars: Sequence[Jar]) -> list[Jar]:
    """Those that are not in ``folder`` with their checksum (all 45 MB are read: 30 to 50 ms)."""

    def there(path: Path, jar: Jar) -> bool:
        return path.is_file() and path.stat().st_size == jar.size and _sha256(path) == jar.sha256

    return [jar for jar in jars if not there(folder / jar.file, jar)]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(jar: Jar, scratch: Path) -> Path:
    group, artifact, version = jar.coordinates.split(":")
    wanted = MavenContext(repo_cache=scratch).project(group, artifact).at_version(version).artifact()
    for last in [False] * (_TRIES - 1) + [True]:
        try:
            return Path(wanted.resolve())
        except (OSError, RuntimeError):  # requests' errors are OSErrors; jgo says RuntimeError for "not found"
            if last:
                raise
            # A download that broke off leaves its beginning where the resolver would take it for the whole.
            if wanted.cached_path:
                wanted.cached_path.unlink(missing_ok=True)
    raise AssertionError("unreachable")


def _fetch_one(jar: Jar, scratch: Path, folder: Path) -> Jar:
    got = _download(jar, scratch)
    if got.stat().st_size != jar.size or _sha256(got) != jar.sha256:
        raise Refusal(
            f"The jar {jar.coordinates} that arrived is not the one of {LOCK.name}: its SHA-256 differs, so it was thrown away. "
            "Something between here and the repository changed it (a proxy, an old mirror): try another network."
        )
    os.replace(got, folder / jar.file)
    return jar


def fetch(folder: Path, progress: Progress | None = None, lock: Path = LOCK) -> int:
    """Bring what is lacking into ``folder``; the number of files brought. Each is checked before it is put there. Raises Refusal."""
    jars = locked(lock)
    missing = lacking(folder, jars)
    if not missing:
        return 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="fetching-", dir=folder.parent))
    except OSError as fault:
        raise Refusal(
            f"The broker's jars cannot be kept in {folder}: {fault.strerror}. "
            "Give this user the right to write there, or let HAILONG_HOME name a folder of your own."
        ) from fault
    try:
        _fetch_all(missing, len(jars), scratch, folder, progress)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return len(missing)


def _fetch_all(missing: Sequence[Jar], wanted: int, scratch: Path, folder: Path, progress: Progress | None) -> None:
    done = wanted - len(missing)
    with ThreadPoolExecutor(max_workers=6) as pool:
        under_way = [pool.submit(_fetch_one, jar, scratch, folder) for jar in missing]
        try:
            for future in as_completed(under_way):
                done += 1
                jar = future.result()
                if progress:
                    progress(done, wanted, jar.file)
        except (OSError, RuntimeError) as fault:
            raise Refusal(
                f"{wanted - done + 1} of the {wanted} jars of Kafka, the log of facts, could not be fetched ({type(fault).__name__}). "
                "They come from the public Maven repository, once: check the network or the proxy and start again; what came is kept."
            ) from None
        finally:
            for future in under_way:
                future.cancel()


def resolve(scratch: Path) -> list[Jar]:
    """Resolve ``WANTED`` with all they need, from the network: the content of a new lock file."""
    context = MavenContext(repo_cache=scratch)
    roots = [context.create_dependency(coordinates) for coordinates in WANTED]
    for root in roots:
        root.scope = "compile"
    inputs, needed = context.resolver.resolve(roots)
    everything = [*inputs, *(one for one in needed if one.scope in ("compile", "runtime"))]
    paths = {f"{one.groupId}:{one.artifactId}:{one.version}": Path(one.artifact.resolve()) for one in everything}
    return [Jar(name, _sha256(path), path.stat().st_size) for name, path in sorted(paths.items())]


def _lock() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        jars = resolve(Path(scratch))
    LOCK.write_bytes(msgspec.json.format(msgspec.json.encode(jars), indent=1) + b"\n")
    sys.stderr.write(f"{len(jars)} jars, {sum(jar.size for jar in jars) / 1e6:.1f} MB: {LOCK}\n")


def _tell(done: int, wanted: int, name: str) -> None:
    sys.stderr.write(f"Fetching Kafka, once: {done} of {wanted} ({name})\n")


def main(arguments: Sequence[str]) -> int:
    """``lock``: write the lock file anew. ``fetch FOLDER``: bring what is lacking. Exit codes 0, 1 (see stderr), 2 (wrong use)."""
    match arguments:
        case ["lock"]:
            _lock()
        case ["fetch", folder]:
            try:
                fetch(Path(folder), _tell)
            except Refusal as refusal:
                sys.stderr.write(f"{refusal}\n")
                return refusal.exit_code
        case _:
            sys.stderr.write("python -m ops.local.jars lock | fetch FOLDER\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
