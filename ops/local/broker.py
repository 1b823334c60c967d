"""A real Kafka on one machine: one node that is broker and controller (KRaft), on loopback, from released jars.

What an acknowledgement means here: the record is in the kernel's page cache, so it survives any death of a process, and is on the
disk within a second (``log.flush.interval.ms``), which bounds what a power cut can take. A cluster has replicas for that.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from ops.local import jars
from ops.local.java import Java
from ops.local.refusal import Refusal

LOOPBACK: Final = "127.0.0.1"
_FAST_START: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Measured on 2 cores: 1.2 s to the first answer instead of 1.6 s, 1.5 CPU seconds instead of 2.8."""
_LOG_OPTIONS: Final = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


@dataclass(frozen=True)
class Broker:
    """One node and the folder it keeps its log in."""

    folder: Path
    port: int
    controller_port: int
    jars: Path
    java: Java
    memory_mb: int = 512

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def properties_file(self) -> Path:
        return self.folder / "server.properties"

    @property
    def log_dir(self) -> Path:
        return self.folder / "log"

    def argv(self) -> list[str]:
        """The command of the broker's process; it logs warnings to its standard error."""
        return self._java(f"-Xmx{self.memory_mb}m", *_LOG_OPTIONS, "kafka.Kafka", str(self.properties_file))

    def _java(self, *arguments: str) -> list[str]:
        return [str(self.java.path), *_FAST_START, "-Djava.awt.headless=true", "-cp", f"{self.jars}/*", *arguments]

    def prepare(self) -> None:
        """Write the properties (the ports may have changed) and format the folder if it is new. Raises Refusal."""
        try:
            self.log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.properties_file.write_text(properties(self.port, self.controller_port, self.log_dir), encoding="utf-8")
        except OSError as fault:
            raise Refusal(
                f"Kafka cannot keep its log in {self.log_dir}: {fault.strerror}. "
                "Give this user the right to write there, or choose another folder with --data."
            ) from fault
        if not (self.log_dir / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        # 16 bytes; one that begins with a hyphen, as every 64th would, is taken for an option.
        cluster = "h" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        tool = self._java("-Xmx128m", *_LOG_OPTIONS, "kafka.tools.StorageTool")
        done = subprocess.run([*tool, "format", "-t", cluster, "-c", str(self.properties_file)], capture_output=True, text=True)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise Refusal(
                f"Kafka could not lay out its folder {self.log_dir} (exit code {done.returncode}): {' '.join(said)} "
                "Remove that folder if it holds nothing you need, and start again."
            )


def properties(port: int, controller_port: int, log_dir: Path, more: Mapping[str, str] | None = None) -> str:
    """The text of ``server.properties``: only what differs from Kafka's defaults, each for a reason."""
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        # Voters by address, not in the log: another port base finds the same data.
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(log_dir),
        # Back after kill -9: the controller forgets the old self after 3 s, not 9.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # The log is the memory of facts: nothing in it expires, and nobody makes a topic by a slip of the pen.
        "log.retention.ms": "-1",
        "log.retention.bytes": "-1",
        "auto.create.topics.enable": "false",
        # One worker joins at a time here; waiting for others only delays the first fact.
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        # Offsets of a group that was stopped for the summer are still there in autumn.
        "offsets.retention.minutes": "525600",
        "transaction.state.log.num.partitions": "2",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "default.replication.factor": "1",
        # Indexes are pre-allocated: 10 MB each by default, two of them a partition.
        "log.index.size.max.bytes": "1048576",
        "log.segment.bytes": "134217728",
        # Flushed every second and so marked: bounds a power cut, and what must be read again after kill -9.
        "log.flush.interval.ms": "1000",
        "log.flush.scheduler.interval.ms": "1000",
        "log.flush.offset.checkpoint.interval.ms": "5000",
        "num.recovery.threads.per.data.dir": "2",
        # The cleaner takes 128 MB at start for its table; ours has four small topics to clean.
        "log.cleaner.dedupe.buffer.size": "16777216",
    }
    return "".join(f"{name}={value}\n" for name, value in {**lines, **(more or {})}.items())


async def answers(port: int, within: float = 2.0) -> bool:
    """Whether a broker on this machine answers a metadata request and names itself as a broker that can be used."""
    if not listens(port):  # asked first, because the client writes a line of log for every refused connection
        return False
    client = AIOKafkaClient(bootstrap_servers=f"{LOOPBACK}:{port}", request_timeout_ms=int(within * 1000), client_id="hailong-ready")
    try:
        async with asyncio.timeout(within):
            await client.bootstrap()
            return bool(client.cluster.brokers())
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await client.close()


def listens(port: int) -> bool:
    """Whether anything accepts connections on that port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((LOOPBACK, port)) == 0


def ensure(home: Path, progress: jars.Progress | None = None) -> Path:
    """The folder with the broker's jars, fetched if need be. Raises Refusal."""
    folder = home / "kafka" / "jars"
    jars.fetch(folder, progress)
    return folder


__all__: Sequence[str] = ("LOOPBACK", "Broker", "answers", "ensure", "listens", "properties")
