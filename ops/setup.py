"""Make an installation ready: keys, the ledger's and ClickHouse's schema, the topics. Harmless to repeat; run once per release."""

from __future__ import annotations

import sys
import time

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from hailong import telemetry
from hailong.domain.units import LOCAL
from hailong.events import TOPICS, Topic, dead_topic
from hailong.ports import Permanent, Retryable
from hailong.settings import SettingError, Settings, load
from ops import given
from ops.proof.breaks import topics
from ops.ways import secret
from ops.wiring import Wiring
from sinks.clickhouse.migrations import migrate as migrate_clickhouse
from sinks.ledger import migrate as migrate_ledger

FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "message.timestamp.type": "CreateTime"}
"""Facts are the memory: nothing is ever deleted by age or size."""


def make_topics(settings: Settings, wanted_topics: tuple[Topic, ...] = TOPICS) -> list[str]:
    """Create what is missing of the topics and their dead-letter twins; the names created. Raises Retryable when the broker is away."""
    wanted = {t.name: t.partitions for t in wanted_topics} | {dead_topic(t.name): 1 for t in wanted_topics}
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka.split(","), client_id="setup", bootstrap_timeout_ms=10_000)
        try:
            missing = {name: n for name, n in wanted.items() if name not in set(admin.list_topics())}
            spec = {
                n: {"num_partitions": p, "replication_factor": settings.kafka_replication, "configs": FOREVER} for n, p in missing.items()
            }
            if spec:
                admin.create_topics(spec)
        except TopicAlreadyExistsError:
            return []
        finally:
            admin.close()
    except KafkaError as e:
        raise Retryable(f"the broker at {settings.kafka} cannot be used ({type(e).__name__}). Start it, or set HAILONG_KAFKA.") from e
    return sorted(missing)


def set_up(settings: Settings) -> None:
    """Everything an empty installation needs. Raises Retryable or Permanent naming the part; SettingError, before anything is made, for
    a file of the office that is wrong."""
    wiring = Wiring(settings)
    given.refuse(settings, wiring.clock.now().astimezone(LOCAL).date())
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    wiring.keys.make_missing(wiring.clock.now().date())
    migrate_ledger(settings.ledger, secret(settings.ledger_password_file) or None)
    migrate_clickhouse(wiring.clickhouse(without_database=True), settings)
    make_topics(settings, topics(settings.proof_break))


def main() -> int:
    try:
        settings = load()
    except SettingError as e:
        sys.stderr.write(f"{e}\n")
        return 2
    telemetry.configure("setup", settings.log_level)
    for wait in (0.5, 1.0, 2.0, 4.0, None):
        try:
            set_up(settings)
            return 0
        except Retryable as e:
            if wait is None:
                sys.stderr.write(f"The installation cannot be set up: {e.reason}\n")
                return 1
            time.sleep(wait)
        except SettingError as e:
            sys.stderr.write(f"{e}\n")
            return 2
        except Permanent as e:
            sys.stderr.write(f"The installation cannot be set up: {e.reason}\n")
            return 1
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
