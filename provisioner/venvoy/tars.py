"""Tar files of anybody's: what of them could fill the memory before it is looked at."""

from __future__ import annotations

import tarfile

LONGEST_HEADER = 1 << 20
"""Bytes that a header may announce of itself: a name, and what else an extended header says."""
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
             tarfile.GNUTYPE_LONGLINK)  # fmt: skip


class Header(tarfile.TarInfo):
    """A header that is refused (ValueError) where it announces more of itself than any real one: tarfile reads all."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Header:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENDED and found.size > LONGEST_HEADER:
            raise ValueError(f"a header has {found.size} bytes")
        return found
