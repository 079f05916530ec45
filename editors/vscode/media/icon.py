"""Draws the extension's icon, 128 x 128 pixels, into icon.png beside this file: a line of code, a cursor, an offer."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

SIZE, CORNER, SAMPLES = 128, 24, 4
BACKGROUND, TEXT, CURSOR, OFFER = (31, 36, 48), (216, 222, 233), (229, 192, 123), (104, 114, 135)

# left, top, right, bottom, corner, colour
BARS = (
    (20, 30, 76, 40, 5, TEXT),
    (34, 54, 64, 64, 5, TEXT),
    (68, 47, 73, 71, 2, CURSOR),
    (78, 54, 112, 64, 5, OFFER),
    (34, 78, 98, 88, 5, OFFER),
)


def _inside(x: float, y: float, left: float, top: float, right: float, bottom: float, corner: float) -> bool:
    """Whether a point lies in a rectangle with round corners."""
    dx = max(left + corner - x, 0, x - (right - corner))
    dy = max(top + corner - y, 0, y - (bottom - corner))
    return dx * dx + dy * dy <= corner * corner


def _pixel(column: int, row: int) -> bytes:
    """Red, green, blue and opacity, averaged over a grid of points."""
    total = [0.0, 0.0, 0.0, 0.0]
    for index in range(SAMPLES * SAMPLES):
        x, y = column + (index % SAMPLES + 0.5) / SAMPLES, row + (index // SAMPLES + 0.5) / SAMPLES
        if not _inside(x, y, 0, 0, SIZE, SIZE, CORNER):
            continue
        colour = next((bar[5] for bar in BARS if _inside(x, y, *bar[:5])), BACKGROUND)
        total = [old + new for old, new in zip(total, (*colour, 255), strict=True)]
    points = total[3] / 255
    return bytes(round(value / points) if points else 0 for value in total[:3]) + bytes([round(total[3] / SAMPLES**2)])


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def rows() -> bytes:
    """The picture as PNG has it before it is packed."""
    return b"".join(b"\0" + b"".join(_pixel(column, row) for column in range(SIZE)) for row in range(SIZE))


def png() -> bytes:
    """The whole file."""
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows(), 9))
        + _chunk(b"IEND", b"")
    )


if __name__ == "__main__":
    (Path(__file__).resolve().parent / "icon.png").write_bytes(png())
