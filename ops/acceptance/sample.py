"""Facts of every topic made from their schemas, so that a topic or field of tomorrow is examined without being written down here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import inspect

from hailong.events import Fact, Topic


def sample(topic: Topic, number: int, now: datetime, *, full: bool) -> Fact:
    """A fact with every field said (``full``), or only those that must be. ``number`` makes it another one."""
    info = inspect.type_info(topic.schema)
    assert isinstance(info, inspect.StructType)  # noqa: S101 (facts are structs)
    said = {f.encode_name: _value(f.type, number, now) for f in info.fields if full or f.required}
    said |= {"event_id": f"acceptance:{topic.name}:{number}"}
    if "seq" in topic.schema.__struct_fields__:
        said["seq"] = number
    return msgspec.convert(said, topic.schema)


def _value(kind: inspect.Type, number: int, now: datetime) -> Any:
    match kind:
        case inspect.UnionType():
            return _value(next(t for t in kind.types if not isinstance(t, inspect.NoneType)), number, now)
        case inspect.LiteralType():
            return kind.values[number % len(kind.values)]
        case inspect.StructType():
            return {f.encode_name: _value(f.type, number, now) for f in kind.fields}
        case inspect.DateType():
            return now.date()
        case inspect.DateTimeType():
            return now
        case inspect.BoolType():
            return bool(number % 2)
        case inspect.IntType():
            return number % 5 + 1
        case inspect.FloatType():
            return 0.5
        case inspect.ListType():
            return [_value(kind.item_type, number, now)]
        case inspect.DictType():
            plain = isinstance(kind.value_type, inspect.StrType | inspect.DateType | inspect.DictType)
            return {"Q0": _value(kind.value_type, number, now) if plain else number % 5 + 1}
        case _:
            return f"thử {number}"
