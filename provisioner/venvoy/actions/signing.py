"""Sign with the user's SSH key, and tell who has signed (`ssh-keygen -Y`)."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import files, process
from ..errors import CommandFailed, InvalidInput
from ..model import Command

NAMESPACE = "venvoy-archive"
"""A signature that was made for something else is none for an archive."""
_KEY = re.compile(r"with (\S+) key (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What is known of who signed: "good" when the key stands in the allowed-signers file, with that name in `who`.

    "unchecked" is a signature that fits, of a key that nobody vouches for.
    """

    state: Literal["unsigned", "unchecked", "good"]
    key: str = ""
    who: str = ""

    @property
    def sentence(self) -> str:
        """For people."""
        if self.state == "unsigned":
            return "It is not signed."
        if self.state == "unchecked":
            return f"It is signed with the key {self.key}; whose that is was not checked (--allowed-signers)."
        return f"It is signed by {self.who}, with the key {self.key}."


UNSIGNED = Signature(state="unsigned")


def sign(text: bytes, key: Path) -> bytes:
    """The signature of `text`; a passphrase is asked for by ssh-keygen itself, at the terminal or of the agent.

    Raises CommandFailed, RuntimeUnavailable where there is no ssh-keygen.
    """
    with tempfile.TemporaryDirectory(prefix="venvoy-") as folder:
        file = Path(folder) / "manifest.json"
        files.replace(file, text, mode=0o600)
        argv = ("ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file))
        code = process.attend(Command(argv=argv))
        if code:
            raise CommandFailed(
                f"ssh-keygen could not sign with {key}", hint="is it the path of an SSH key?", code=code
            )
        return file.with_name(f"{file.name}.sig").read_bytes()


def checked(text: bytes, signature: bytes, *, allowed: Path | None) -> Signature:
    """Who has signed `text`. Raises InvalidInput where the signature does not fit, or its key is not in `allowed`."""
    with tempfile.TemporaryDirectory(prefix="venvoy-") as folder:
        file = Path(folder) / "signature"
        files.replace(file, signature, mode=0o600)
        said = _asked(("check-novalidate", "-n", NAMESPACE, "-s", str(file)), text)
        if said is None:
            raise InvalidInput("its signature does not fit: it was changed after it was signed")
        found = _KEY.search(said)
        key = f"{found[1]} {found[2]}" if found else "unknown"
        if allowed is None:
            return Signature(state="unchecked", key=key)
        if not allowed.is_file():
            raise InvalidInput(f"there is no {allowed}")
        who = (_asked(("find-principals", "-s", str(file), "-f", str(allowed)), b"") or "").strip().partition("\n")[0]
        words = ("verify", "-f", str(allowed), "-I", who, "-n", NAMESPACE, "-s", str(file))
        if not who or _asked(words, text) is None:
            raise InvalidInput(f"it is signed with the key {key}, which is not in {allowed}")
    return Signature(state="good", key=key, who=who)


def _asked(words: tuple[str, ...], text: bytes) -> str | None:
    """What ssh-keygen says, or None when it says no."""
    try:
        return process.run(Command(argv=("ssh-keygen", "-Y", *words), stdin=text.decode("utf-8", "surrogateescape")))
    except CommandFailed:
        return None
