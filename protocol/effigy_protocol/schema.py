# SPDX-License-Identifier: Apache-2.0
"""Dataclasses to plain msgpack values and back, strictly.

Decoding accepts exactly the declared fields and types and finite numbers; there is no coercion besides an
integer where a float is declared. Buffers are moved out of the header into a list of payload frames.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import ProtocolError
from .messages import Buffer
from .messages.values import LATER

_INT_BITS = 63
TAG = "kind"  # of one of several dataclasses; no field of theirs has that name


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def pack(value: Any, payload: list[Buffer], declared: Any = None) -> Any:
    """Returns ``value`` ready for msgpack; its buffers are appended to ``payload`` and replaced by their index.

    ``declared`` is its type. If that allows several dataclasses, the name of the one is added (see ``variants``).
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        told = [f for f in dataclasses.fields(value) if LATER not in f.metadata or getattr(value, f.name) != f.default]
        fields = {f.name: pack(getattr(value, f.name), payload, hints[f.name]) for f in told}
        return {TAG: type(value).__name__, **fields} if variants(declared) else fields
    if isinstance(value, bytes | memoryview):
        payload.append(value)
        return len(payload) - 1
    if isinstance(value, tuple):
        members = get_args(declared) if get_origin(declared) is tuple else ()
        each = members[:1] * len(value) if members[1:] == (Ellipsis,) else members
        return [pack(item, payload, each[n] if n < len(each) else None) for n, item in enumerate(value)]
    if isinstance(value, dict):
        member = get_args(declared)[1] if get_origin(declared) is dict else None
        return {key: pack(item, payload, member) for key, item in value.items()}
    return value


@cache
def variants(declared: Any) -> dict[str, type]:
    """Returns, by name, the dataclasses that the ``declared`` type allows, or none unless there are several.

    Such a value travels as a map with its fields and, as TAG, its dataclass's name.
    """
    if get_origin(declared) not in (Union, types.UnionType):
        return {}
    classes = [member for member in get_args(declared) if isinstance(member, type)]
    members = {member.__name__: member for member in classes if dataclasses.is_dataclass(member)}
    return members if len(members) > 1 else {}


def unpack(declared: Any, value: Any, payload: Sequence[Buffer], where: str) -> Any:
    """Returns ``value`` as the ``declared`` type. Raises ProtocolError ``bad-field`` that names ``where``."""
    if declared is Buffer:
        return _buffer(value, payload, where)
    origin = get_origin(declared)
    if origin in (Union, types.UnionType):
        return _union(declared, value, payload, where)
    if origin is Literal:
        if not isinstance(value, str) or value not in get_args(declared):
            raise _bad(where, f"one of {', '.join(get_args(declared))}", value)
        return value
    if origin is tuple:
        return _tuple(get_args(declared), value, payload, where)
    if origin is dict:
        return _mapping(get_args(declared)[1], value, payload, where)
    if dataclasses.is_dataclass(declared):
        return unpack_dataclass(declared, value, payload, where)
    return _scalar(declared, value, where)


def unpack_dataclass(cls: Any, value: Any, payload: Sequence[Buffer], where: str) -> Any:
    """Returns the dataclass ``cls`` of a map with exactly its fields; ``later`` ones may be missing."""
    if not isinstance(value, dict):
        raise _bad(where, "a map", value)
    names = {f.name for f in dataclasses.fields(cls)}
    needed = {f.name for f in dataclasses.fields(cls) if LATER not in f.metadata}
    if missing := sorted(needed - value.keys()):
        raise ProtocolError("bad-field", f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(brief(key) for key in value.keys() - names):
        raise ProtocolError("bad-field", f"{where} has unknown fields: {', '.join(unknown)[:200]}")
    hints = _hints(cls)
    return cls(**{name: unpack(hints[name], value[name], payload, f"{where}.{name}") for name in names & value.keys()})


def _buffer(value: Any, payload: Sequence[Buffer], where: str) -> Buffer:
    if type(value) is not int or not 0 <= value < len(payload):
        raise _bad(where, f"the index of one of the {len(payload)} payload frames", value)
    return payload[value]


def _union(declared: Any, value: Any, payload: Sequence[Buffer], where: str) -> Any:
    if value is None and type(None) in get_args(declared):
        return None
    if known := variants(declared):
        return _variant(known, value, payload, where)
    members = [member for member in get_args(declared) if member is not type(None)]
    is_buffer = set(members) == set(get_args(Buffer))
    return unpack(Buffer if is_buffer else members[0], value, payload, where)


def _variant(known: dict[str, type], value: Any, payload: Sequence[Buffer], where: str) -> Any:
    if not isinstance(value, dict):
        raise _bad(where, "a map", value)
    kind = value.get(TAG)
    if not isinstance(kind, str) or kind not in known:
        raise _bad(f"{where}.{TAG}", f"one of {', '.join(known)}", kind)
    fields = {name: item for name, item in value.items() if name != TAG}
    return unpack_dataclass(known[kind], fields, payload, f"{where}.{kind}")


def _tuple(members: tuple[Any, ...], value: Any, payload: Sequence[Buffer], where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _bad(where, "a list", value)
    if members[-1] is Ellipsis:
        members = members[:1] * len(value)
    if len(members) != len(value):
        raise _bad(where, f"a list of {len(members)}", value)
    return tuple(
        unpack(member, item, payload, f"{where}[{number}]")
        for number, (member, item) in enumerate(zip(members, value, strict=True))
    )


def _mapping(member: Any, value: Any, payload: Sequence[Buffer], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(where, "a map", value)
    for key in value:
        if not isinstance(key, str):
            raise _bad(where, "a map with text keys", key)
    return {key: unpack(member, item, payload, f"{where}[{key[:40]}]") for key, item in value.items()}


def _scalar(declared: Any, value: Any, where: str) -> Any:
    if declared is float and type(value) in (int, float):
        number = float(value)
        if not math.isfinite(number):
            raise _bad(where, "a finite number", value)
        return number
    if type(value) is not declared:
        raise _bad(where, declared.__name__, value)
    if declared is int and value.bit_length() > _INT_BITS:
        raise _bad(where, "an integer of 63 bits", value)
    return value


def _bad(where: str, wanted: str, value: Any) -> ProtocolError:
    return ProtocolError("bad-field", f"{where} must be {wanted}, not {brief(value)}")


def brief(value: Any) -> str:
    """Returns a value as short text for a message; of a container only its kind, as it may be nested without end."""
    if isinstance(value, str):
        return repr(value[:60])
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() <= 64):
        return repr(value)
    return f"a {type(value).__name__}"
