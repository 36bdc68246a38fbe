"""Which files are images, by their names and by their first bytes."""

from __future__ import annotations

from itertools import chain

FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2",),
    "AVIF": (".avif",),
    "ICO": (".ico",),
}
"""The formats of pictures that are read, as Pillow calls them, and how their files' names end."""
IMAGE_SUFFIXES = frozenset(chain(*FORMATS.values())) | {".npy"}
"""Every format that is read; `.npy` holds an array H×W or H×W×C, of any number of channels."""

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\x93NUMPY": "NumPy",
}
_BRANDS = {b"WEBP": "WebP", b"avif": "AVIF", b"heic": "HEIF", b"heix": "HEIF", b"mif1": "HEIF"}
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_END_BYTES = 64


def has_image_name(name: str) -> bool:
    """Whether a file is an image by its suffix."""
    _, dot, suffix = name.rpartition(".")
    return dot + suffix.lower() in IMAGE_SUFFIXES


def format_of(content: bytes) -> str | None:
    """What the first bytes say: "JPEG", "PNG", …, or None where they belong to no image."""
    for signature, name in _SIGNATURES.items():
        if content.startswith(signature):
            return name
    return _BRANDS.get(content[8:12])


def lacks_end(content: bytes) -> bool:
    """Whether the mark is missing that the format ends with."""
    end = _ENDS.get(format_of(content) or "")
    return end is not None and end not in content[-_END_BYTES:]
