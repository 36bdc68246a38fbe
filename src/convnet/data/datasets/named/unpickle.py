"""Read the pickles of CIFAR's Python batches without running code."""

from __future__ import annotations

import io
import pickle
from typing import Any, ClassVar

import numpy as np

from convnet.errors import DataError


def restricted_loads(raw: bytes, name: str) -> Any:
    """Unpickle only containers, numbers, bytes, text and numeric NumPy arrays.

    This uses the unpickler written in Python: a few hostile bytes cannot make its memo allocate gigabytes,
    and BUILD, which sets attributes, can be restricted to arrays.

    Raises:
        DataError: The pickle names another class or function, or is damaged.
    """
    try:
        return _RestrictedUnpickler(io.BytesIO(raw), encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{name}: refused: {error}; get the file from its publisher") from None
    except Exception as error:  # damaged pickles raise nearly anything; no part of them was used
        raise DataError(f"{name}: not a readable pickle: {type(error).__name__}: {error}") from None


def _reconstruct(kind: object, shape: object, _typecode: object) -> np.ndarray[Any, Any]:
    """NumPy's empty array, which BUILD fills afterwards."""
    if kind is not np.ndarray or shape != (0,):
        raise DataError(f"an array of kind {kind!r} and shape {shape!r}")
    return np.ndarray((0,), np.uint8)


def _frombuffer(content: object, dtype: object, shape: object, order: object) -> np.ndarray[Any, Any]:
    """An array written by NumPy in protocol 5."""
    if (
        not isinstance(content, bytes | bytearray)
        or not isinstance(dtype, np.dtype)
        or order not in ("C", b"C")
    ):
        raise DataError("an array whose content is not bytes")
    return np.frombuffer(content, dtype).reshape(shape)


def _dtype(code: object, *_flags: object) -> np.dtype[Any]:
    text = code.decode("ascii") if isinstance(code, bytes) else str(code)
    if text[:1] not in "biuf" or not text[1:].isdigit():
        raise DataError(f"an array of type '{text}'")
    return np.dtype(text)


def _encode(text: str, encoding: object = "latin1") -> bytes:
    """Bytes written by Python 3 in protocol 2."""
    if encoding not in ("latin1", b"latin1"):
        raise DataError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
}


class _RestrictedUnpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    memo: dict[int, Any]

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise DataError(f"the pickle would load {module}.{name}") from None

    def load_build(self) -> None:
        """Set the state of an array or a dtype only."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, np.ndarray):
            _version, shape, dtype, _fortran, content = state
            if not isinstance(dtype, np.dtype) or not isinstance(content, bytes):
                raise DataError("an array whose content is not bytes")
            target.__setstate__((1, shape, dtype, bool(_fortran), content))  # type: ignore[arg-type]
        elif isinstance(target, np.dtype):
            _version, order, *rest = state
            if any(field is not None for field in rest[:3]):
                raise DataError("a structured array type")
            order = order.decode("ascii") if isinstance(order, bytes) else order
            self.stack[-1] = target.newbyteorder("<" if order == "<" else ">" if order == ">" else "=")
            self._forget(target, self.stack[-1])
        else:
            raise DataError(f"the pickle would set attributes of {type(target).__name__}")

    def _forget(self, old: object, new: object) -> None:
        """Let later references to a dtype use its byte order."""
        for key, value in self.memo.items():
            if value is old:
                self.memo[key] = new

    dispatch[pickle.BUILD[0]] = load_build
