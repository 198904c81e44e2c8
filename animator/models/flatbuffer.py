"""TFLite files taken apart: the operators of a network, and the numbers in it.

The file is a FlatBuffer: a table begins with the distance back to a list of where its fields are,
and whatever is long is named by the distance forward to it. Only what networks of today's
detectors hold is read; the rest is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CODES, _GRAPHS, _BUFFERS = 1, 2, 4
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS = 0, 1, 2, 3
_SHAPE, _TYPE, _BUFFER, _NAME, _SPARSITY = 0, 1, 2, 3, 6
"""Numbers of the fields in the tables of a model, a graph and a tensor."""
_VALUES: dict[int, np.dtype[Any]] = {0: np.dtype("<f4"), 1: np.dtype("<f2"), 2: np.dtype("<i4")}
"""How values are written, by the number of a tensor's type."""
_PLACES: dict[int, np.dtype[Any]] = {1: np.dtype("<i4"), 2: np.dtype("<u2"), 3: np.dtype("u1")}
"""How the places of sparse values are written, by the number of the union's type."""


@dataclass(frozen=True, eq=False)
class Operator:
    """One step of a network.

    Attributes:
        code: its number in TensorFlow Lite's list of operators.
        inputs: numbers of the tensors that it reads, -1 for one that is left out.
        outputs: numbers of those that it makes.
        options: where its options begin, for `Graph.option`; 0 if it has none.
    """

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: int


class Graph:
    """The one graph of a TFLite file.

    Args:
        content: the file's bytes.

    Attributes:
        inputs: numbers of the tensors that it takes.
        outputs: names of the tensors that it gives, with their numbers.
        operators: in the order in which they run.
        constants: the numbers that are in the file, by the number of their tensor; kernels that are
            stored without their zeros have them again.

    Raises:
        ValueError: if it is no TFLite file of one graph, or holds what is not known here.
    """

    def __init__(self, content: bytes) -> None:
        self._data = content
        try:
            if content[4:8] != b"TFL3":
                raise ValueError("it does not begin as TFLite files do")
            self._read()
        except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
            raise ValueError(f"it is damaged ({error})") from error

    def option(self, operator: Operator, field: int, kind: str = "<i", default: int = 0) -> int:
        """One of an operator's options.

        Args:
            operator: whose.
            field: its number in the operator's table.
            kind: how it is written, as in `struct`; "<b" for lists of choices and truth values.
            default: what it is where the file does not say.
        """
        return self._number(operator.options, field, kind, default) if operator.options else default

    def _read(self) -> None:
        model = self._follow(0)
        codes = [self._code(code) for code in self._tables(model, _CODES)]
        buffers = self._tables(model, _BUFFERS)
        graphs = self._tables(model, _GRAPHS)
        if len(graphs) != 1:
            raise ValueError(f"it has {len(graphs)} graphs")
        tensors = self._tables(graphs[0], _TENSORS)
        self.inputs = tuple(self._numbers(graphs[0], _INPUTS))
        self.outputs = {
            self._text(tensors[number], _NAME): number
            for number in self._numbers(graphs[0], _OUTPUTS)
        }
        self.operators = [
            Operator(
                codes[self._number(operator, 0, "<I")],
                tuple(self._numbers(operator, 1)),
                tuple(self._numbers(operator, 2)),
                self._table(operator, 4),
            )
            for operator in self._tables(graphs[0], _OPERATORS)
        ]
        self.constants: dict[int, NDArray[Any]] = {}
        for number, tensor in enumerate(tensors):
            values = self._vector(buffers[self._number(tensor, _BUFFER, "<I")], 0, np.dtype("u1"))
            if len(values):
                self.constants[number] = self._constant(tensor, values)

    def _constant(self, tensor: int, content: NDArray[np.uint8]) -> NDArray[Any]:
        shape = list(self._numbers(tensor, _SHAPE))
        values = content.view(_VALUES[self._number(tensor, _TYPE, "<b")])
        if sparsity := self._table(tensor, _SPARSITY):
            values = self._with_zeros(sparsity, values, shape)
        return values.reshape(shape)

    def _with_zeros(self, sparsity: int, values: NDArray[Any], shape: list[int]) -> NDArray[Any]:
        """Walk the levels of a sparse tensor, outermost first, each dense or a list of places."""
        if self._numbers(sparsity, 0) != list(range(len(shape))) or self._numbers(sparsity, 1):
            raise ValueError("a kernel is stored in blocks, or in another order")
        # Where each entry of the levels so far is among all that could be there.
        rows = np.zeros(1, np.int64)
        for level, size in zip(self._tables(sparsity, 2), shape, strict=True):
            if self._number(level, 0, "<b") == 0:
                rows = (rows[:, None] * size + np.arange(size)).ravel()
            else:
                counts = np.diff(self._places(level, 2))
                rows = np.repeat(rows, counts) * size + self._places(level, 4)
        whole = np.zeros(int(np.prod(shape)), values.dtype)
        whole[rows] = values
        return whole

    def _places(self, level: int, field: int) -> NDArray[np.int64]:
        """A union of lists: the type is in one field, the table that holds the list in the next."""
        kind = _PLACES[self._number(level, field, "<B")]
        return self._vector(self._table(level, field + 1), 0, kind).astype(np.int64)

    def _code(self, code: int) -> int:
        """The number of an operator; those below 127 were once kept in a byte of their own."""
        return max(self._number(code, 0, "<b"), self._number(code, 3, "<i"))

    # FlatBuffers

    def _field(self, table: int, field: int) -> int:
        """Where a field of a table is; 0 if the table lacks it."""
        fields = table - int(struct.unpack_from("<i", self._data, table)[0])
        (size,) = struct.unpack_from("<H", self._data, fields)
        if 4 + 2 * field >= size:
            return 0
        (offset,) = struct.unpack_from("<H", self._data, fields + 4 + 2 * field)
        return table + int(offset) if offset else 0

    def _follow(self, place: int) -> int:
        return place + int(struct.unpack_from("<I", self._data, place)[0])

    def _table(self, table: int, field: int) -> int:
        """Where the table in a field begins; 0 if there is none."""
        place = self._field(table, field)
        return self._follow(place) if place else 0

    def _number(self, table: int, field: int, kind: str, default: int = 0) -> int:
        place = self._field(table, field)
        return int(struct.unpack_from(kind, self._data, place)[0]) if place else default

    def _vector(self, table: int, field: int, kind: np.dtype[Any]) -> NDArray[Any]:
        place = self._field(table, field)
        if not place:
            return np.zeros(0, kind)
        start = self._follow(place)
        (length,) = struct.unpack_from("<I", self._data, start)
        if start + 4 + length * kind.itemsize > len(self._data):
            raise ValueError("it is cut off")
        return np.frombuffer(self._data, kind, length, start + 4)

    def _numbers(self, table: int, field: int) -> list[int]:
        return [int(number) for number in self._vector(table, field, np.dtype("<i4"))]

    def _text(self, table: int, field: int) -> str:
        return self._vector(table, field, np.dtype("u1")).tobytes().decode()

    def _tables(self, table: int, field: int) -> list[int]:
        """Where the tables of a list begin."""
        start = self._table(table, field)
        (length,) = struct.unpack_from("<I", self._data, start)
        if 4 * length > len(self._data):
            raise ValueError("it is cut off")
        return [self._follow(start + 4 + 4 * number) for number in range(length)]
