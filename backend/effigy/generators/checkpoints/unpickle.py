# SPDX-License-Identifier: Apache-2.0
"""Pickles read as data: a stack machine that calls nothing, imports nothing and copies nothing large.

``pickletools`` of the standard library takes a pickle apart into its operations; here they build plain values,
and ``Object`` for whatever the pickle would have called. The names that may be called are listed: a file that
asks for any other is refused, so that nobody passes it on to a program that would obey.
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import ForeignError, MalformedError
from .window import Budget, Window

_KEYS = (str, int, float, bool, type(None))  # nested tuples can take for ever to hash
_KEY = 1000  # characters: one long key may stand in many dictionaries, in each of which it is looked at
_STORAGES = "Float Double Half BFloat16 Long Int Short Char Byte Bool Untyped"
_CALLABLE = {
    "collections.OrderedDict",
    "builtins.set",
    "__builtin__.set",
    "_codecs.encode",
    "builtins.bytes",
    "__builtin__.bytes",
    "argparse.Namespace",
    "dnnlib.util.EasyDict",
    "easydict.EasyDict",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.PureWindowsPath",
    "pathlib.WindowsPath",
    "dnnlib.tflib.network.Network",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_tensor_v2",
    "torch.storage._load_from_bytes",
    "torch.Size",
    "torch.device",
    "torch.nn.parameter.Parameter",
    "torch_utils.persistence._reconstruct_persistent_obj",
    "numpy.dtype",
    "numpy.ndarray",
    *(
        f"{package}.multiarray.{name}"
        for package in ("numpy.core", "numpy._core")
        for name in ("scalar", "_reconstruct")
    ),
    *(f"torch.{kind}Storage" for kind in _STORAGES.split()),
    "torch.storage.UntypedStorage",
}
# The layers that PyTorch comes with, in networks that were saved whole.
_PLAIN_LAYER = re.compile(
    r"torch\.nn\.modules\.(activation|batchnorm|container|conv|dropout|flatten|instancenorm|linear|module|"
    r"normalization|padding|pixelshuffle|pooling|sparse|upsampling)\.[A-Z][A-Za-z0-9]*"
)


class Global(NamedTuple):
    """A name that the pickle would have imported."""

    name: str


class Blob(NamedTuple):
    """Bytes, which stay in the file."""

    start: int
    length: int


class LongText(NamedTuple):
    """A text that is longer than any name, as UTF-8, which stays in the file."""

    start: int
    length: int


@dataclass(eq=False, repr=False, slots=True)
class Object:
    """What calling ``name`` with ``args``, then restoring ``state``, would have made."""

    name: str
    args: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


def unpickle(window: Window, budget: Budget) -> Any:
    """Reads the next pickle in ``window``, and moves behind it. Raises MalformedError."""
    machine = _Machine()
    try:
        for opcode, argument, position in pickletools.genops(window):  # type: ignore[arg-type]  # reads and tells
            budget.step()
            if opcode.name == "STOP":
                return machine.pop()
            if window.skipped is not None:
                if opcode.name in _TEXTS:
                    argument = LongText(window.skipped, window.tell() - window.skipped)
                elif opcode.name not in _BYTES:
                    raise MalformedError("a number in it is longer than any that weights need")
                window.skipped = None
            machine.step(opcode.name, argument, position)
    except (MalformedError, ForeignError):
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, EOFError) as error:
        raise MalformedError(f"it breaks off or is damaged: {str(error)[:100]}") from None
    raise MalformedError("it has no end")


_MARK = object()
_SINGLES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINSTRING"}
_VALUES |= {"SHORT_BINSTRING", "LONG4", "BINUNICODE8"}
_TEXTS = {"BINUNICODE", "BINUNICODE8"}
_BYTES = {"BINBYTES": 5, "SHORT_BINBYTES": 2, "BINBYTES8": 9}  # and how long opcode and length are
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._appended = self._copied = 0  # values of lists

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise MalformedError("an operation in it lacks its arguments")
        return value

    def step(self, name: str, argument: Any, position: int | None) -> None:
        """Executes one operation."""
        push = self._stack.append
        match name:
            case "PROTO" | "FRAME":
                pass
            case _ if name in _SINGLES:
                push(_SINGLES[name])
            case _ if name in _VALUES:
                push(argument)
            case _ if name in _BYTES:
                push(Blob((position or 0) + _BYTES[name], len(argument)))
            case "MARK":
                push(_MARK)
            case "POP":
                self._stack.pop()
            case "EMPTY_LIST" | "EMPTY_SET":
                push([])
            case "EMPTY_DICT":
                push({})
            case _ if name in _TUPLES:
                push(tuple(reversed([self.pop() for _ in range(_TUPLES[name])])))
            case "TUPLE":
                push(tuple(self._to_mark()))
            case "APPEND":
                self._extend([self.pop()])
            case "APPENDS" | "ADDITEMS":
                self._extend(self._to_mark())
            case "SETITEM":
                value, key = self.pop(), self.pop()
                self._set([key, value])
            case "SETITEMS":
                self._set(self._to_mark())
            case "GLOBAL":
                push(_allowed(argument.replace(" ", ".")))
            case "STACK_GLOBAL":
                attribute, module = self.pop(), self.pop()
                if not isinstance(module, str) or not isinstance(attribute, str):
                    raise MalformedError("what it would import is named by no text")
                push(_allowed(f"{module}.{attribute}"))
            case "REDUCE" | "NEWOBJ":
                arguments, function = self.pop(), self.pop()
                push(self._call(function, arguments))
            case "BUILD":
                self._build(self.pop())
            case "BINPERSID":
                push(Object("persistent", (self.pop(),)))
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._stack[-1]
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self._stack[-1]
            case "BINGET" | "LONG_BINGET":
                push(self._memo[argument])
            case _:
                raise MalformedError(f"the operation {name} has no business in a file of weights")

    def _to_mark(self) -> list[Any]:
        values = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise MalformedError("values are appended to what is no list")
        target.extend(values)
        self._appended += len(values)

    def _set(self, pairs: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Object):
            target = target.items
        if not isinstance(target, dict):
            raise MalformedError("keys are set on what is no dictionary")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, _KEYS):
                raise MalformedError(f"a {type(key).__name__} cannot be a key")
            # As text, since anybody can find numbers that all hash alike: each would be compared with all before it.
            target[_short(key) if isinstance(key, str) else repr(key)] = value

    def _build(self, state: Any) -> None:
        target = self._stack[-1]
        if isinstance(target, Object):
            target.state = state
        elif not isinstance(target, dict):  # a dictionary's own attributes say nothing
            raise MalformedError("a state is given to what is no object")

    def _call(self, function: Any, arguments: Any) -> Any:
        match function:  # torch.save before its zip files has a network's class and source text in its place
            case Object(name="persistent", args=(("module", Global() as layer, *_),)):
                function = layer
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise MalformedError("it calls what is no function")
        match function.name, arguments:
            case "collections.OrderedDict" | "dnnlib.util.EasyDict" | "easydict.EasyDict", ():
                return {}
            case "collections.OrderedDict" | "dnnlib.util.EasyDict" | "easydict.EasyDict", (list(pairs),):
                self._copied += len(pairs)
                if self._copied > self._appended:  # else a few bytes for each copy would fill the memory
                    raise MalformedError("it makes dictionaries of the same list again and again")
                if not all(isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
                    raise MalformedError("a dictionary in it has no proper keys")
                return {_short(key): value for key, value in pairs}
            case "builtins.set" | "__builtin__.set", (list(values),):
                return values
            case "builtins.bytes" | "__builtin__.bytes", ():
                return Blob(0, 0)
        return Object(function.name, arguments)


def _short(key: Any) -> Any:
    if isinstance(key, str) and len(key) > _KEY:
        raise MalformedError(f"a key in it has {len(key)} characters, which no name has")
    return key


def _allowed(name: str) -> Global:
    _package, helper, function = name.rpartition("torch_utils.persistence.")
    known = helper + function if helper else name  # programs keep NVIDIA's helper in packages of their own
    if known not in _CALLABLE and not _PLAIN_LAYER.fullmatch(known):
        raise ForeignError(
            f"it asks to run {name[:80]!r}, which weights do not need: unless you trust it, open it nowhere else. "
            "If that is the class of a network which was saved whole, save its state_dict() instead"
        )
    return Global(known)
