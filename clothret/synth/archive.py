"""Zip archives with a password (traditional PKWARE encryption), the same bytes every time.

The cipher turns over one byte after another, so a loop in Python is slow on one file; here the
loop runs over the bytes of many files at once, one numpy lane to a file.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 6.1.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

MAX_ENTRIES = 65_535
MAX_BYTES = 2**32 - 1
DOS_DATE = (2026 - 1980) << 9 | 1 << 5 | 1  # 2026-01-01
_HEADER = 12  # bytes of noise before each file, the last one a check of the password
_STORED, _DEFLATED, _ENCRYPTED = 0, 8, 1


def _crc_table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0xEDB88320), table >> 1)
    return table


def _key_stream_table() -> NDArray[np.uint8]:
    """The cipher's next byte for each value of the third key's lower 16 bits."""
    low = np.arange(2**16, dtype=np.uint32) | 2
    return ((low * (low ^ 1)) >> 8).astype(np.uint8)


_CRC = _crc_table()
_STREAM = _key_stream_table()
_FACTOR = np.uint32(134_775_813)


def _turn(keys: list[NDArray[np.uint32]], plain: NDArray[np.uint8]) -> list[NDArray[np.uint32]]:
    """The three keys after one byte of plain text in each lane."""
    first, second, third = keys
    first = _CRC[(first.astype(np.uint8)) ^ plain] ^ (first >> 8)
    second = (second + (first & 0xFF)) * _FACTOR + np.uint32(1)
    third = _CRC[third.astype(np.uint8) ^ (second >> 24).astype(np.uint8)] ^ (third >> 8)
    return [first, second, third]


def encrypt(plains: Sequence[bytes], password: bytes) -> list[bytes]:
    """Each plain text under the password, in the same order and of the same length."""
    order = sorted(range(len(plains)), key=lambda number: -len(plains[number]))
    longest = max(map(len, plains), default=0)
    lanes = np.zeros((longest, len(plains)), np.uint8)
    for lane, number in enumerate(order):
        lanes[: len(plains[number]), lane] = np.frombuffer(plains[number], np.uint8)
    lengths = np.array([len(plains[number]) for number in order])
    keys = [
        np.full(len(plains), start, np.uint32) for start in (0x12345678, 0x23456789, 0x34567890)
    ]
    for byte in password:
        keys = _turn(keys, np.full(len(plains), byte, np.uint8))
    active = np.searchsorted(-lengths, -np.arange(longest), side="left")
    for position in range(longest):
        if active[position] < len(keys[0]):  # the shorter files are done
            keys = [key[: active[position]] for key in keys]
        row = lanes[position, : active[position]]
        plain = row.copy()
        row ^= _STREAM[keys[2].astype(np.uint16)]
        keys = _turn(keys, plain)
    cipher = np.ascontiguousarray(lanes.T)
    sealed = [b""] * len(plains)
    for lane, number in enumerate(order):
        sealed[number] = cipher[lane, : lengths[lane]].tobytes()
    return sealed


class ZipWriter:
    """Writes one encrypted archive; it appears under its name when complete."""

    def __init__(self, path: Path, password: bytes, rng: np.random.Generator) -> None:
        """
        Args:
            path: of the archive; replaced if it exists.
            rng: draws the noise before each file: the same seed, the same bytes.
        """
        self.path, self.password, self.rng = path, password, rng
        self._part = path.with_name(path.name + ".part")
        self._directory: list[bytes] = []
        self._file: BinaryIO

    def __enter__(self) -> Self:
        self._file = self._part.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish()
        self._file.close()
        if kind is None:
            os.replace(self._part, self.path)
        else:
            self._part.unlink(missing_ok=True)

    def add_folder(self, name: str) -> None:
        """An entry for a folder; `name` ends with a slash."""
        self._append(name, b"", 0, 0, _STORED, 0, 0x10)

    def add_files(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Encrypt and append files; the more at once (some 1000), the faster.

        Raises:
            ValueError: the archive would pass `MAX_ENTRIES` or `MAX_BYTES`.
        """
        packed, plains = [], []
        noise = self.rng.integers(0, 256, (len(files), _HEADER - 1), dtype=np.uint8)
        for (name, data), salt in zip(files, noise, strict=True):
            check = zlib.crc32(data)
            method = _STORED if name.endswith(".jpg") else _DEFLATED
            body = _deflate(data) if method == _DEFLATED else data
            plains.append(salt.tobytes() + bytes([check >> 24]) + body)
            packed.append((name, check, len(data), method))
        for (name, check, size, method), body in zip(
            packed, encrypt(plains, self.password), strict=True
        ):
            self._append(name, body, check, size, method, _ENCRYPTED, 0)

    def _append(
        self, name: str, body: bytes, check: int, size: int, method: int, flags: int, kind: int
    ) -> None:
        offset, encoded = self._file.tell(), name.encode("ascii")
        if len(self._directory) >= MAX_ENTRIES or offset + len(body) + 2**23 > MAX_BYTES:
            raise ValueError(
                f"{self.path}: an archive holds at most {MAX_ENTRIES} entries and {MAX_BYTES} bytes"
            )
        common = struct.pack(
            "<HHHHHIIIHH", 20, flags, method, 0, DOS_DATE, check, len(body), size, len(encoded), 0
        )
        self._file.write(b"PK\x03\x04" + common + encoded + body)
        self._directory.append(
            b"PK\x01\x02"
            + struct.pack("<H", 20)
            + common
            + struct.pack("<HHHII", 0, 0, 0, kind, offset)
            + encoded
        )

    def _finish(self) -> None:
        start, directory = self._file.tell(), b"".join(self._directory)
        count = len(self._directory)
        end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), start, 0)
        self._file.write(directory + b"PK\x05\x06" + end)
        self._file.flush()
        os.fsync(self._file.fileno())


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()
