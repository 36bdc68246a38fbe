"""Image formats by file name and by the first bytes."""

from __future__ import annotations

from itertools import chain

IMAGE_FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2",),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif"),
    "ICO": (".ico",),
}
"""The supported formats by Pillow's names, and their suffixes."""
IMAGE_SUFFIXES = frozenset(chain(*IMAGE_FORMATS.values())) | {".npy"}
"""The suffixes of all supported formats; `.npy` holds an array H×W or H×W×C with any number of channels."""

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\x93NUMPY": "NumPy",
}
_BRANDS = {
    b"WEBP": "WebP",
    b"avif": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "HEIF"),
}
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_END_BYTES = 64


def has_image_name(name: str) -> bool:
    """Whether a file name has the suffix of an image."""
    _, dot, suffix = name.rpartition(".")
    return dot + suffix.lower() in IMAGE_SUFFIXES


def format_of(content: bytes) -> str | None:
    """The format by the first bytes: "JPEG", "PNG", …, or None."""
    for signature, name in _SIGNATURES.items():
        if content.startswith(signature):
            return name
    return _BRANDS.get(content[8:12])


def lacks_end(content: bytes) -> bool:
    """Whether the end marker of the format is missing."""
    end = _ENDS.get(format_of(content) or "")
    return end is not None and end not in content[-_END_BYTES:]
