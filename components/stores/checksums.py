"""Checksums of what the database holds, so that a flipped byte on the disk is found and never quoted."""

import struct
import zlib

_NOTHING = b"\xff\x00"  # no UTF-8 text starts so


def passage_checksum(*columns: str | bytes | float | None) -> int:
    """CRC-32 over the columns of a passage, each with its length.

    :param columns: Text as str or as its UTF-8 bytes, which count alike; bytes; numbers; None.
    """
    value = 0
    for column in columns:
        if column is None or column != column:  # SQLite keeps no NaN: it becomes NULL
            value = zlib.crc32(_NOTHING, value)
            continue
        if isinstance(column, str):
            column = column.encode()
        elif not isinstance(column, bytes):
            column = struct.pack("<d", column)
        value = zlib.crc32(column, zlib.crc32(len(column).to_bytes(8, "little"), value))
    return value


def vector_checksum(vector: bytes) -> int:
    """CRC-32 of a stored vector."""
    return zlib.crc32(vector)
