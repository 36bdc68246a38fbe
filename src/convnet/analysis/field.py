"""The receptive field of a tensor: the pixels that its elements depend on, along every input axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TypeVar

from convnet.analysis.reach import Reach

T = TypeVar("T")

Atom = tuple[int | None, int]
"""A factor of a dimension: the input axis that it follows, or None, and its number of positions."""


@dataclass(frozen=True)
class Field:
    """The receptive field of a tensor.

    A map N×C×H×W has two dimensions with one factor each that follows an axis. Flattened, it has a dimension
    of three factors: channels, rows, columns.

    Attributes:
        dims: The factors of every dimension.
        reaches: A Reach for every input axis; None if unknown.
    """

    dims: tuple[tuple[Atom, ...], ...]
    reaches: tuple[Reach | None, ...]

    @classmethod
    def of_input(cls, shape: Sequence[int]) -> Field:
        """The field of the input N×C×…: one axis per dimension after the channels."""
        axes = max(0, len(shape) - 2)
        dims = [((dim - 2 if dim >= 2 else None, size),) for dim, size in enumerate(shape)]
        return cls(tuple(dims), (Reach.pixels(),) * axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor."""
        return tuple(math.prod(size for _, size in atoms) for atoms in self.dims)

    def unknown(self, shape: Iterable[int]) -> Field:
        """A field of that shape with unknown reaches."""
        return Field(_plain(shape), (None,) * len(self.reaches))

    def along(self, dim: int, size: int, change: Callable[[Reach], Reach | None]) -> Field:
        """The field after a layer that reads along one dimension and leaves `size` positions."""
        dim %= len(self.dims)
        field = self.enlarged(dim)
        if len(field.dims[dim]) != 1 or (axis := field.dims[dim][0][0]) is None:
            return self.summed([dim], keep=True).with_size(dim, size)
        reach = field.reaches[axis]
        changed = None if reach is None else change(reach)
        return Field(_set(field.dims, dim, ((axis, size),)), _set(field.reaches, axis, changed))

    def enlarged(self, dim: int) -> Field:
        """The field with repeated positions along an axis as positions of a longer axis.

        They are factors of a dimension behind the axis, as after a reshape of H×2 to 2H.
        """
        (axis, places), *others = self.dims[dim]
        if axis is None or not others or any(other is not None for other, _ in others):
            return self
        times, reach = math.prod(size for _, size in others), self.reaches[axis]
        changed = None if reach is None else reach.read(times, 1, lambda place: [place // times])
        return Field(_set(self.dims, dim, ((axis, places * times),)), _set(self.reaches, axis, changed))

    def summed(self, dims: Iterable[int], *, keep: bool = False) -> Field:
        """The field after a sum over dimensions, whose reach is then shared; `keep` keeps the dimensions."""
        chosen = {dim % len(self.dims) for dim in dims}
        reaches = list(self.reaches)
        for axis, places in (atom for dim in chosen for atom in self.dims[dim]):
            if axis is not None and (reach := reaches[axis]) is not None:
                reaches[axis] = reach.all(places)
        kept = [atoms for dim, atoms in enumerate(self.dims) if keep or dim not in chosen]
        return Field(tuple(kept), tuple(reaches))

    def with_size(self, dim: int, size: int) -> Field:
        """The field with `size` positions along a dimension that follows no axis."""
        return replace(self, dims=_set(self.dims, dim, ((None, size),)))

    def picked(self, dim: int, place: int) -> Field:
        """The field after selecting one position along a dimension, which is removed."""
        dim %= len(self.dims)
        place %= self.shape[dim]
        return self.along(dim, 1, lambda reach: reach.only(place)).summed([dim])

    def permuted(self, order: Iterable[int]) -> Field:
        """The field with its dimensions in another order."""
        return replace(self, dims=tuple(self.dims[dim] for dim in order))

    def unsqueezed(self, dim: int) -> Field:
        """The field with a new dimension of size 1."""
        dim %= len(self.dims) + 1
        return replace(self, dims=(*self.dims[:dim], ((None, 1),), *self.dims[dim:]))

    def expanded(self, shape: Sequence[int]) -> Field:
        """The field after broadcasting: new leading dimensions, and dimensions of size 1 repeated."""
        front = len(shape) - len(self.dims)
        field = replace(self, dims=_plain(shape[:front]) + self.dims)
        for dim, (old, new) in enumerate(zip(field.shape, shape, strict=True)):
            if old != new:
                field = field.summed([dim], keep=True).with_size(dim, new)
        return field

    def reshaped(self, shape: Sequence[int]) -> Field:
        """The field after a reshape; unknown if an axis would be divided."""
        atoms = [atom for dim in self.dims for atom in dim if atom[1] != 1]
        dims: list[tuple[Atom, ...]] = []
        for size in shape:
            taken: list[Atom] = []
            room = size
            while room > 1:
                axis, places = atoms.pop(0)
                common = math.gcd(room, places)
                if common != places:  # only a part of the factor belongs here
                    if axis is not None or common != room:
                        return self.unknown(shape)
                    atoms.insert(0, (None, places // common))
                taken.append((axis, common))
                room //= common
            dims.append(tuple(taken) or ((None, size),))
        kept = {axis for dim in dims for axis, _ in dim}
        # An axis with one position follows no dimension any more.
        reaches = [r if r is None or axis in kept else r.only(0) for axis, r in enumerate(self.reaches)]
        return Field(tuple(dims), tuple(reaches))

    def joined(self, other: Field) -> Field:
        """The field after an elementwise operation on two tensors of the same shape."""
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
    """The joint field of several fields of the same shape."""
    return reduce(Field.joined, fields)


def _plain(shape: Iterable[int]) -> tuple[tuple[Atom, ...], ...]:
    return tuple(((None, size),) for size in shape)


def _set(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])
