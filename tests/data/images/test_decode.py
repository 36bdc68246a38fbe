from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnet.data import Preprocess, open_data
from convnet.data.images import pillow
from convnet.data.images.decode import AGREEMENT_DB, decode, read_picture
from convnet.data.images.pixels import DecodeError
from convnet.data.images.read import read_image_file
from convnet.errors import DataError
from convnet.types import ImageShape

UNREADABLE = {
    "pil_balloon_eciRGBv2_aware.jp2": "unreadable",
    "pil_broken_data_stream.png": "truncated",
    "pil_decompression_bomb.gif": "unreadable",
    "pil_truncated_end_chunk.png": "truncated",
    "pil_truncated_image.png": "truncated",
    "pil_truncated_jpeg.jpg": "truncated",
    "pil_zero_width.gif": "unreadable",
    "pngsuite_xd0n2c08.png": "unreadable",
    "pngsuite_xhdn0g08.png": "unreadable",
    "pngsuite_xlfn0g04.png": "unreadable",
    "MANIFEST.csv": "not_an_image",
    "SOURCE.txt": "not_an_image",
}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-12, np.square(a.astype(float) - b).mean())))


def encoded(image: Image.Image, modality: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, modality, **options)
    return content.getvalue()


def test_every_odd_image_is_the_right_picture_or_named_with_its_reason(odd_images: Path) -> None:
    assert {path.name for path in odd_images.iterdir()} >= UNREADABLE.keys()
    for path in sorted(odd_images.iterdir()):
        if path.name in UNREADABLE:
            with pytest.raises(DecodeError) as caught:
                decode(path.read_bytes())
            assert (caught.value.kind, bool(caught.value.reason)) == (UNREADABLE[path.name], True)
            continue
        found = decode(path.read_bytes(), channels=3).pixels
        with Image.open(path) as image:
            if image.mode.startswith("I;16") or "exif" in path.name or "orientation" in path.name:
                continue  # judged below
            shown = image.convert("RGBA")
            expected = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB")
            if image.getexif().get(0x0112, 1) > 1:
                expected = expected.transpose(Image.Transpose.ROTATE_270)
        assert found.shape[:2] == (expected.height, expected.width), path.name
        assert psnr(found, np.asarray(expected)) > AGREEMENT_DB, path.name


def test_turned_pictures_are_upright_and_alike(odd_images: Path) -> None:
    for stem, numbers in (("pil_hopper_orientation", range(2, 8)), ("exif_Landscape", (2, 3, 4, 6, 7, 8))):
        pictures = [decode((odd_images / f"{stem}_{i}.jpg").read_bytes()).pixels for i in numbers]
        for picture in pictures[1:]:
            assert picture.shape == pictures[0].shape
            assert psnr(picture, pictures[0]) > 25  # compressed lying down, each differently


def test_deep_pictures_have_their_known_values(odd_images: Path) -> None:
    for name, channels in (("pngsuite_basn0g16.png", 1), ("pngsuite_basn2c16.png", 3)):
        content = (odd_images / name).read_bytes()
        found = decode(content).pixels.astype(float)
        assert np.abs(found - png_values(content, channels) / 257).max() <= 1, name
    with Image.open(odd_images / "pil_12bit.cropped.tif") as image:
        raw = np.asarray(image).astype(float)
    found = decode((odd_images / "pil_12bit.cropped.tif").read_bytes()).pixels[:, :, 0]
    assert np.abs(found - raw * 255 / 4095).max() <= 0.51


def png_values(content: bytes, channels: int) -> np.ndarray:
    """The 16-bit values of a PNG without interlace, decoded by hand."""
    data, place, width, height = b"", 8, 0, 0
    while place < len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        body = content[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
        data += body if kind == b"IDAT" else b""
        place += 12 + length
    raw, step = zlib.decompress(data), 2 * channels
    stride, rows = width * step, [np.zeros(width * step, int)]
    for y in range(height):
        kind_, line = raw[y * (stride + 1)], raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)]
        row, above = np.zeros(stride, int), rows[-1]
        for i, value in enumerate(line):
            left = row[i - step] if i >= step else 0
            corner = above[i - step] if i >= step else 0
            guess = left + above[i] - corner
            paeth = min((left, above[i], corner), key=lambda v: abs(guess - v))
            row[i] = (value + (0, left, above[i], (left + above[i]) // 2, paeth)[kind_]) % 256
        rows.append(row)
    pairs = np.array(rows[1:]).reshape(height, width, channels, 2)
    return pairs[..., 0] * 256.0 + pairs[..., 1]


def test_no_odd_image_takes_a_gigabyte(odd_images: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from convnet.data.images.decode import decode\n"
        "from convnet.data.images.pixels import DecodeError\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try:\n        decode(path.read_bytes())\n    except DecodeError:\n        pass\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, odd_images],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert int(done.stdout) < 1 << 20  # KiB


@pytest.mark.parametrize(("mode", "background", "expected"), [("RGBA", "white", 255), ("LA", "#000000", 0)])
def test_what_is_transparent_shows_the_background(mode: str, background: str, expected: int) -> None:
    content = encoded(Image.new(mode, (8, 8)), "PNG")
    assert (decode(content, background=background).pixels == expected).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_scaled_to_all_of_the_range(bits: int) -> None:
    values = np.arange(2**bits, dtype=np.uint8)[None].repeat(4, 0)
    packed = b"".join(
        b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, -bits:].ravel()).tobytes()
        for row in values
    )
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 2**bits, 4, bits, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(packed)),
    ]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in (*chunks, (b"IEND", b"")):
        content += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    found = decode(content).pixels[0, :, 0]
    assert found.tolist() == [round(i * 255 / (2**bits - 1)) for i in range(2**bits)]


def test_numbers_without_a_known_range_are_refused() -> None:
    for image in (Image.new("F", (4, 4), 0.5), Image.new("I", (4, 4), 7)):
        with pytest.raises(DecodeError, match="of unknown range"):
            decode(encoded(image, "TIFF"))


def test_arrays_of_any_number_of_channels(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(20):
            np.save(tmp_path / name / f"{i}.npy", generator.integers(0, 256, (20, 30, 5), dtype=np.uint8))
    dataset = open_data(str(tmp_path), Preprocess(image_size=16))
    assert tuple(dataset.info.shape) == (5, 16, 16)
    np.save(tmp_path / "deep.npy", np.array([[0, 65535]], np.uint16))
    assert read_picture(tmp_path / "deep.npy").tolist() == [[[0, 255]]]
    np.save(tmp_path / "bad.npy", np.array([[0.0, 2.0]]))
    with pytest.raises(DataError, match="floats from 0 to 1"):
        read_picture(tmp_path / "bad.npy")
    with pytest.raises(DataError, match="has 5 channels, which cannot be converted to 3"):
        read_image_file(tmp_path / "a" / "0.npy", ImageShape(3, 8, 8), Preprocess())


def test_truncated_files_are_taken_only_where_that_is_allowed() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    for modality in ("JPEG", "PNG"):
        content = encoded(picture, modality)[:-2000]
        with pytest.raises(DecodeError) as caught:
            decode(content)
        assert caught.value.kind == "truncated"
        assert decode(content, allow_truncated=True).pixels.shape == (60, 80, 3)


def test_lenience_in_one_thread_does_not_reach_another() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8))
    content = encoded(picture, "PNG")[:-4000]
    stop, passed, decoded = threading.Event(), [], []

    def lenient() -> None:
        while not stop.is_set():
            decoded.append(decode(content, allow_truncated=True))

    threads = [threading.Thread(target=lenient) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        try:
            decode(content)
            passed.append(True)
        except DecodeError:
            continue
    stop.set()
    for thread in threads:
        thread.join()
    assert len(decoded) > 2 and not passed


def test_a_large_jpeg_is_decoded_small_and_looks_the_same() -> None:
    smooth = Image.effect_mandelbrot((1600, 1200), (-2.2, -1.5, 0.8, 1.5), 60).convert("RGB")
    content = encoded(smooth, "JPEG", quality=90)
    whole, small = (decode(content, at_least=size).pixels for size in (None, (64, 64)))
    assert whole.shape[0] // small.shape[0] == 4
    reduced = np.asarray(smooth.resize((small.shape[1], small.shape[0]), Image.Resampling.BOX))
    assert psnr(small, reduced) > 25


def test_ten_thousand_damaged_files_are_pictures_or_clean_errors() -> None:
    generator = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(generator.integers(0, 256, (24, 30, 3), dtype=np.uint8))
    gray = Image.fromarray(generator.integers(0, 65536, (24, 30)).astype(np.uint16))
    array = io.BytesIO()
    np.save(array, np.asarray(picture))
    originals = [
        *(encoded(picture, modality, exif=exif) for modality in ("JPEG", "PNG", "WEBP", "TIFF")),
        *(encoded(picture, modality) for modality in ("BMP", "GIF", "PPM", "ICO", "JPEG2000")),
        encoded(picture, "JPEG", progressive=True),
        encoded(picture.convert("CMYK"), "JPEG"),
        encoded(picture.convert("P"), "PNG"),
        encoded(picture.convert("RGBA"), "PNG"),
        encoded(gray, "PNG"),
        array.getvalue(),
    ]
    outcomes = {"picture": 0, "unreadable": 0, "truncated": 0, "not_an_image": 0}
    for i in range(10_000):
        whole = originals[i % len(originals)]
        keep = len(whole) if generator.random() < 0.5 else generator.integers(1, len(whole) + 1)
        damaged = bytearray(whole[:keep])
        for place in generator.integers(0, len(damaged), generator.integers(0, 6)):
            damaged[place] = generator.integers(0, 256)
        try:
            found = decode(bytes(damaged), allow_truncated=bool(i % 3 == 0))
            assert found.pixels.dtype == np.uint8 and found.pixels.ndim == 3
            outcomes["picture"] += 1
        except DecodeError as error:
            assert error.reason
            outcomes[error.kind] += 1
    assert all(outcomes.values()), outcomes


@pytest.mark.parametrize("suffix", ["heic", "HEIF"])
def test_heic_photos_are_read_upright(tmp_path: Path, suffix: str) -> None:
    """Phones store photos turned; the container says so, and its reader turns them back."""
    across = np.linspace(0, 255, 96, dtype=np.uint8)
    pixels = np.stack(
        [np.tile(across, (64, 1)), np.full((64, 96), 90, np.uint8), np.tile(across[::-1], (64, 1))], 2
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("cat", "dog"):
        for i in range(4):
            path = tmp_path / "photos" / name / f"{i}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.roll(pixels, 5 * i, 1)).save(path, "HEIF", quality=95, exif=exif.tobytes())
    dataset = open_data(str(tmp_path / "photos"))
    assert len(dataset) == 8 and not dataset.info.unreadable
    found = decode((tmp_path / "photos" / "cat" / f"0.{suffix}").read_bytes()).pixels
    assert found.shape == (96, 64, 3) and psnr(found, np.rot90(pixels, -1)) > 30


def test_heic_photos_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(Image.new("RGB", (32, 32)), "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF")
    pillow._formats.cache_clear()
    with pytest.raises(DecodeError, match=r"pip install 'convnet\[heic\]'"):
        decode(content)
    pillow._formats.cache_clear()
