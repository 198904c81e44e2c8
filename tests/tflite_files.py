"""Small TFLite files, written from scratch: tables, whose children lie behind them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = dict[int, Any]
"""Fields by their numbers: whole numbers, tables, lists of numbers or of tables, texts, arrays."""
_TYPES = {"float32": 0, "float16": 1, "int32": 2}


@dataclass
class Net:
    """A network under construction; tensors are named by their numbers."""

    tensors: list[Table] = field(default_factory=list)
    buffers: list[Table] = field(default_factory=lambda: [{}])
    operators: list[Table] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def tensor(self, *shape: int) -> int:
        """What is computed."""
        return self._add({0: list(shape), 1: 0, 2: 0, 3: f"t{len(self.tensors)}"})

    def constant(self, values: NDArray[Any], sparsity: Table | None = None, shape: Any = ()) -> int:
        """What is in the file; `values` are those that are not zero where it is sparse."""
        self.buffers.append({0: np.frombuffer(values.tobytes(), np.uint8)})
        table = {
            0: list(shape or values.shape),
            1: _TYPES[values.dtype.name],
            2: len(self.buffers) - 1,
            3: f"t{len(self.tensors)}",
        }
        return self._add(table if sparsity is None else {**table, 6: sparsity})

    def operator(
        self, code: int, inputs: list[int], made: int, kind: int = 0, options: Table | None = None
    ) -> int:
        """A step; `kind` is the number of the options' type in the format's union."""
        if code not in self.codes:
            self.codes.append(code)
        table: Table = {0: self.codes.index(code), 1: inputs, 2: [made]}
        if options is not None:
            table |= {3: kind, 4: options}
        self.operators.append(table)
        return made

    def content(self, taken: int, given: list[int]) -> bytes:
        """The bytes of the file."""
        graph = {0: self.tensors, 1: [taken], 2: given, 3: self.operators, 4: "main"}
        codes = [{0: code, 2: 1, 3: code} for code in self.codes]
        out = bytearray(struct.pack("<I4s", 0, b"TFL3"))
        struct.pack_into("<I", out, 0, _write({0: 3, 1: codes, 2: [graph], 4: self.buffers}, out))
        return bytes(out)

    def _add(self, table: Table) -> int:
        self.tensors.append(table)
        return len(self.tensors) - 1


def _write(value: Any, out: bytearray) -> int:
    """Append a value, then what it refers to; where it begins."""
    if isinstance(value, dict):
        return _write_table(value, out)
    if isinstance(value, str):
        value = np.frombuffer(value.encode(), np.uint8)
    if isinstance(value, np.ndarray):
        return _append(out, struct.pack("<I", len(value)) + value.tobytes() + b"\0", 4)
    if value and isinstance(value[0], dict):
        start = _append(out, struct.pack("<I", len(value)) + bytes(4 * len(value)), 4)
        _refer(out, {start + 4 + 4 * place: one for place, one in enumerate(value)})
        return start
    return _append(out, struct.pack(f"<I{len(value)}i", len(value), *value), 4)


def _write_table(table: Table, out: bytearray) -> int:
    count = max(table, default=-1) + 1
    places = [4 + 4 * number if number in table else 0 for number in range(count)]
    fields = _append(out, struct.pack(f"<HH{count}H", 4 + 2 * count, 4 + 4 * count, *places), 0)
    body = bytearray(4 + 4 * count)
    for number, value in table.items():
        if isinstance(value, int):
            struct.pack_into("<i", body, places[number], value)
    start = _append(out, bytes(body), 0)
    struct.pack_into("<i", out, start, start - fields)
    children = {places[n]: value for n, value in table.items() if not isinstance(value, int)}
    _refer(out, {start + place: value for place, value in children.items()})
    return start


def _refer(out: bytearray, children: dict[int, Any]) -> None:
    for place, child in children.items():
        struct.pack_into("<I", out, place, _write(child, out) - place)


def _append(out: bytearray, content: bytes, ahead: int) -> int:
    """Append so that what comes `ahead` bytes later begins on a multiple of 16."""
    out.extend(bytes(-(len(out) + ahead) % 16))
    start = len(out)
    out.extend(content)
    return start
