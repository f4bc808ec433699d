"""Pages of PDF files as pictures, so that a test can look where there is ink."""

import struct
import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Picture:
    """A page: rows of pixels, each true where there is ink."""

    rows: list[list[bool]]

    @property
    def is_blank(self) -> bool:
        return not any(map(any, self.rows))

    def margins(self) -> tuple[float, float, float, float]:
        """Say how much of the page is white: at the left, the right, the top and the bottom."""
        height, width = len(self.rows), len(self.rows[0])
        inked = [y for y, row in enumerate(self.rows) if any(row)]
        columns = [x for x in range(width) if any(row[x] for row in self.rows)]
        return (
            columns[0] / width,
            1 - (columns[-1] + 1) / width,
            inked[0] / height,
            1 - (inked[-1] + 1) / height,
        )


def decode(png: bytes) -> Picture:
    """Read a picture as typst draws it: 8 bits for each of red, green, blue and alpha."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) == (8, 6), "not as typst draws"
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    lines, stride, before = zlib.decompress(data), width * 4, bytearray(width * 4)
    rows = []
    for y in range(height):
        begin = y * (stride + 1)
        line = bytearray(lines[begin + 1 : begin + 1 + stride])
        _unfilter(lines[begin], line, before)
        rows.append([line[x] < 0xF0 for x in range(0, stride, 4)])
        before = line
    return Picture(rows)


def _unfilter(kind: int, line: bytearray, before: bytearray) -> None:
    """Undo what PNG does to a line so that it packs well."""
    # https://www.w3.org/TR/png-3/#9Filters
    for x in range(len(line)):
        left = line[x - 4] if x >= 4 else 0
        corner = before[x - 4] if x >= 4 else 0
        line[x] = (line[x] + _foreseen(kind, left, before[x], corner)) & 0xFF


def _foreseen(kind: int, left: int, above: int, corner: int) -> int:
    if kind == 4:
        guess = left + above - corner
        return min(left, above, corner, key=lambda near: abs(guess - near))
    return (0, left, above, (left + above) // 2)[kind]
