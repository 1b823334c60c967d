"""Looks at the quality of data, made again from what the log alone gives: the same facts and the same alerts, bit for bit, or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hailong.domain.looking import Looked, look
from hailong.domain.scoring import Version
from hailong.events import AlertChanged, QualityLooked
from ops.looking import Store


def remade(store: Store, looks: Sequence[QualityLooked], upto: Version) -> Iterator[tuple[QualityLooked, Looked]]:
    """Each look as it was written (in order; echoes dropped), and as it follows from the one before it and the counts at its version.

    One that looked at more than ``upto`` has not been rebuilt, nor what comes after it. Raises Retryable, Permanent.
    """
    last: QualityLooked | None = None
    for written in looks:
        version = {topic: {int(p): n for p, n in parts.items()} for topic, parts in written.version.items()}
        if any(n > upto.get(topic, {}).get(p, 0) for topic, parts in version.items() for p, n in parts.items()):
            return
        yield written, look(store.at(written.day, version), written.day, written.at, written.registry_id, last)
        last = written


def alerts_of(
    pairs: Sequence[tuple[QualityLooked, Looked]], written: Mapping[str, AlertChanged]
) -> tuple[list[AlertChanged], list[AlertChanged]]:  # fmt: skip
    """(steps in the log, steps that follow) of these looks; steps of later looks are left out. ``written``: by event id."""
    expected = {step.event_id: step for _, made in pairs for step in made.steps}
    last = max((fact.at for fact, _ in pairs), default=None)
    seen = [step for key, step in written.items() if key in expected or (last is not None and step.at <= last)]
    return seen, list(expected.values())
