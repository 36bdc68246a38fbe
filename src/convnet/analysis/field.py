"""The receptive field of a tensor: which pixels its elements depend on, along every axis of the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TypeVar

from convnet.analysis.reach import Reach

T = TypeVar("T")

Atom = tuple[int | None, int]
"""A factor of a dimension: the axis of the input that it runs along, or None, and its number of places."""


@dataclass(frozen=True)
class Field:
    """`dims` holds the factors of every dimension of a tensor, `reaches` a Reach for every input axis.

    An N×C×H×W map has two dimensions with one factor each that runs along an axis; flattened, it has a
    dimension of three factors: channels, rows, columns. A Reach of None is not known.
    """

    dims: tuple[tuple[Atom, ...], ...]
    reaches: tuple[Reach | None, ...]

    @classmethod
    def of_input(cls, shape: Sequence[int]) -> Field:
        """The input itself, N×C×…: an axis for every dimension behind the channels."""
        axes = max(0, len(shape) - 2)
        dims = [((dim - 2 if dim >= 2 else None, size),) for dim, size in enumerate(shape)]
        return cls(tuple(dims), (Reach.pixels(),) * axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's own."""
        return tuple(math.prod(size for _, size in atoms) for atoms in self.dims)

    def unknown(self, shape: Iterable[int]) -> Field:
        """Of that shape, with nothing known about it."""
        return Field(_plain(shape), (None,) * len(self.reaches))

    def along(self, dim: int, size: int, change: Callable[[Reach], Reach]) -> Field:
        """Behind a layer that reads along one dimension and leaves `size` places there."""
        dim %= len(self.dims)
        if len(self.dims[dim]) != 1 or (axis := self.dims[dim][0][0]) is None:
            return self.summed([dim], keep=True).with_size(dim, size)
        reach = self.reaches[axis]
        changed = None if reach is None else change(reach)
        return Field(_set(self.dims, dim, ((axis, size),)), _set(self.reaches, axis, changed))

    def summed(self, dims: Iterable[int], *, keep: bool = False) -> Field:
        """Behind a sum over dimensions: what ran along them is shared; `keep` leaves them as they are."""
        chosen = {dim % len(self.dims) for dim in dims}
        reaches = list(self.reaches)
        for axis, places in (atom for dim in chosen for atom in self.dims[dim]):
            if axis is not None and (reach := reaches[axis]) is not None:
                reaches[axis] = reach.all(places)
        kept = [atoms for dim, atoms in enumerate(self.dims) if keep or dim not in chosen]
        return Field(tuple(kept), tuple(reaches))

    def with_size(self, dim: int, size: int) -> Field:
        """With `size` places along a dimension that runs along no axis, or no longer."""
        return replace(self, dims=_set(self.dims, dim, ((None, size),)))

    def picked(self, dim: int, place: int) -> Field:
        """Behind the choice of one place along a dimension, which disappears."""
        dim %= len(self.dims)
        place %= self.shape[dim]
        return self.along(dim, 1, lambda reach: reach.only(place)).summed([dim])

    def permuted(self, order: Iterable[int]) -> Field:
        """With the dimensions in another order."""
        return replace(self, dims=tuple(self.dims[dim] for dim in order))

    def unsqueezed(self, dim: int) -> Field:
        """With a new dimension of one place."""
        dim %= len(self.dims) + 1
        return replace(self, dims=(*self.dims[:dim], ((None, 1),), *self.dims[dim:]))

    def expanded(self, shape: Sequence[int]) -> Field:
        """Broadcast: new dimensions in front, and dimensions of one place repeated."""
        front = len(shape) - len(self.dims)
        field = replace(self, dims=_plain(shape[:front]) + self.dims)
        for dim, (old, new) in enumerate(zip(field.shape, shape, strict=True)):
            if old != new:
                field = field.summed([dim], keep=True).with_size(dim, new)
        return field

    def reshaped(self, shape: Sequence[int]) -> Field:
        """The same elements in other dimensions; where an axis would be cut into two, nothing is known."""
        atoms = [atom for dim in self.dims for atom in dim if atom[1] != 1]
        dims: list[tuple[Atom, ...]] = []
        for size in shape:
            taken: list[Atom] = []
            room = size
            while room > 1:
                axis, places = atoms.pop(0)
                common = math.gcd(room, places)
                if common != places:  # only a part of it belongs here
                    if axis is not None or common != room:
                        return self.unknown(shape)
                    atoms.insert(0, (None, places // common))
                taken.append((axis, common))
                room //= common
            dims.append(tuple(taken) or ((None, size),))
        kept = {axis for dim in dims for axis, _ in dim}
        # An axis of one place runs along no dimension any more.
        reaches = [r if r is None or axis in kept else r.only(0) for axis, r in enumerate(self.reaches)]
        return Field(tuple(dims), tuple(reaches))

    def joined(self, other: Field) -> Field:
        """Behind an operation on corresponding elements of two tensors of the same shape."""
        dims, conflict = [], False
        for mine, theirs in zip(self.dims, other.dims, strict=True):
            along = [atoms for atoms in (mine, theirs) if any(axis is not None for axis, _ in atoms)]
            conflict |= len(along) == 2 and mine != theirs
            dims.append(along[0] if along else mine)
        axes = [axis for atoms in dims for axis, _ in atoms if axis is not None]
        if conflict or len(axes) != len(set(axes)):
            return self.unknown(self.shape)
        places = {axis: size for atoms in dims for axis, size in atoms if axis is not None}
        reaches = [
            mine.joined(theirs, places.get(axis, 1)) if mine and theirs else None
            for axis, (mine, theirs) in enumerate(zip(self.reaches, other.reaches, strict=True))
        ]
        return Field(tuple(dims), tuple(reaches))


def join(fields: Sequence[Field]) -> Field:
    """Of all fields together, which have the same shape."""
    return reduce(Field.joined, fields)


def _plain(shape: Iterable[int]) -> tuple[tuple[Atom, ...], ...]:
    return tuple(((None, size),) for size in shape)


def _set(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])
