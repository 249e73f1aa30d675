"""Pictures as the world delivers them: cut, bent, mislabeled, oversized, exotic."""

import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.catalog.shops import draw

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")


def mutants(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """`count` names and contents; the exotic ones first, then damaged ones."""
    generator = random.Random(seed)
    originals = [encoded(Image.fromarray(draw(n)), kind) for n, kind in enumerate(KINDS)]
    for number, (label, data) in enumerate([*exotic(), *_damaged(originals, count, generator)]):
        if number == count:
            return
        yield f"{number:04}-{label}", data


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def exotic() -> Iterator[tuple[str, bytes]]:
    """One of each curiosity."""
    image = Image.fromarray(draw(1))
    frames = [Image.fromarray(draw(n)) for n in range(3)]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(image, kind, save_all=True, append_images=frames)
        yield f"animated.{kind.lower()}", data
    yield "pages.tif", encoded(image, "TIFF", save_all=True, append_images=frames)
    deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
    yield "deep.png", encoded(Image.fromarray(deep), "PNG")
    yield "deep.tif", encoded(Image.fromarray(deep), "TIFF")
    yield "float.tif", encoded(Image.fromarray(deep.astype(np.float32) / 65535), "TIFF")
    nan = encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF")
    yield "nan.tif", nan
    for mode in ("CMYK", "L", "YCbCr"):
        yield f"{mode}.jpg", encoded(image.convert(mode), "JPEG")
    for mode in ("1", "P", "LA", "RGBA"):
        yield f"{mode}.png", encoded(image.convert("RGB").convert(mode), "PNG")
    yield "progressive.jpg", encoded(image, "JPEG", progressive=True)
    for turn in range(0, 11):
        exif = Image.Exif()
        exif[0x0112] = turn
        yield f"turn{turn}.jpg", encoded(image, "JPEG", exif=exif)
    for kind in KINDS:
        yield f"wrong.{'png' if kind == 'JPEG' else 'jpg'}", encoded(image, kind)
    yield "none", encoded(image, "PNG")
    yield "ünï\u202ecode 名.png", encoded(image, "PNG")
    yield "empty.jpg", b""
    yield "zeros.jpg", bytes(5000)
    yield "page.jpg", b"<html><body>404</body></html>"
    yield "vector.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    yield "program.jpg", b"\x7fELF" + bytes(200)
    yield "start.jpg", b"\xff\xd8\xff\xe0"
    for size in ((1, 1), (1, 3000), (3000, 1), (2, 2)):
        yield f"thin{size}.png", encoded(image.resize(size), "PNG")
    for width, height in ((50_000, 50_000), (0, 0), (2**31 - 1, 1), (1, 2**31 - 1)):
        yield f"bomb{width}x{height}.png", png_header(width, height)
    yield "flat.png", png_header(9000, 9000, full=True)
    yield (
        "text.png",
        _with_chunk(encoded(image, "PNG"), b"zTXt", b"k\0\0" + zlib.compress(bytes(2**26))),
    )
    yield (
        "profile.png",
        _with_chunk(encoded(image, "PNG"), b"iCCP", b"p\0\0" + zlib.compress(bytes(2**25))),
    )
    yield "bomb.gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20)
    yield (
        "bomb.bmp",
        b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 2**30, 2**30, 1, 24, 0) + bytes(24),
    )


def png_header(width: int, height: int, *, full: bool = False) -> bytes:
    """A PNG that claims a size; `full`: with all its pixels, in a few kilobytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((width + 1) * height)) if full else b"x"
    chunks = [_chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + check


def _with_chunk(png: bytes, name: bytes, data: bytes) -> bytes:
    return png[:33] + _chunk(name, data) + png[33:]


def _damaged(
    originals: list[bytes], count: int, generator: random.Random
) -> Iterator[tuple[str, bytes]]:
    """Cut off, bits flipped, pieces swapped, zeroed, doubled."""
    for number in range(count):
        data = bytearray(originals[number % len(originals)])
        place = generator.randrange(len(data))
        manner = ("cut", "flip", "zero", "swap", "grow", "head")[number // len(originals) % 6]
        if manner == "cut":
            del data[place:]
        elif manner == "flip":
            for _ in range(generator.choice((1, 8, 64))):
                data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        elif manner == "zero":
            data[place : place + 64] = bytes(len(data[place : place + 64]))
        elif manner == "swap":
            other = originals[generator.randrange(len(originals))]
            data[place:] = other[place:]
        elif manner == "grow":
            data[place:place] = generator.randbytes(100)
        else:
            data[: min(place, 40)] = generator.randbytes(min(place, 40))
        yield f"{manner}.{KINDS[number % len(originals)].lower()}", bytes(data)


def write_mutants(folder: Path, count: int) -> list[str]:
    """Files of `mutants` and links that lead astray; the paths for an items table."""
    folder.mkdir(parents=True)
    names = []
    for name, data in mutants(count):
        (folder / name).write_bytes(data)
        names.append(name)
    (folder.parent / "secret.png").write_bytes(encoded(Image.fromarray(draw(9)), "PNG"))
    (folder / "leak.png").symlink_to(folder.parent / "secret.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "nowhere.png").symlink_to("not there")
    (folder / "folder.png").mkdir()
    strays = ["leak.png", "loop.png", "nowhere.png", "folder.png", "../secret.png", "/etc/passwd"]
    return [*names, *strays, "a//b.png", "missing.png"]
