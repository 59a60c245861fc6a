"""One offline package of an environment, for people without venvoy: a lock, its wheels, and how to install them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..formats.environment_yml import EnvironmentYml
from ..formats.pylock import PylockToml
from ..model import Actor, Environment, OnProgress, Snapshot
from ..process import OnLine
from ..store import Store
from .archive import locked_now
from .packing import Member, Packed, compression_of, pack
from .vendor import Vendored, beside, requirements, vendor

_README = """\
{name}: a Python {python} environment for {platform}.

Everything that is needed lies here; no network is used, and every wheel is checked against its hash.

With pip (any version; in this folder):

    python{minor} -m venv venv
    venv/bin/pip install --no-deps --require-hashes -r requirements.txt

With uv (in this folder):

    uv venv --python {minor} venv
    VIRTUAL_ENV=venv uv pip sync --offline pylock.toml

environment.yml names the same versions in conda's form.
{missing}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """The file, and what it carries."""

    packed: Packed
    snapshot: Snapshot
    vendored: Vendored


def tarball(
    store: Store,
    env: Environment,
    target: Path,
    *,
    actor: Actor,
    on_progress: OnProgress | None = None,
    on_line: OnLine | None = None,
) -> Wrapped:
    """Write it, in the form that the target's name says (.tar.gz, .tar.zst, .tar); the same content, the same bytes.

    Raises InvalidInput for another name, CommandFailed where the index is needed and does not answer.
    """
    compression = compression_of(target)
    locked = locked_now(store, env, actor=actor, on_line=on_line)
    vendored = vendor(store, env, locked, on_progress=on_progress, on_line=on_line)
    texts = {
        "README.txt": _readme(env, locked, vendored),
        "environment.yml": EnvironmentYml().dump(locked),
        "pylock.toml": PylockToml().dump_beside(locked, beside(vendored.kept), folder="wheels"),
        "requirements.txt": requirements(vendored.kept),
    }
    members = [
        *(Member(name=f"{env.name}/{name}", data=text.encode()) for name, text in texts.items()),
        *(
            Member(name=f"{env.name}/wheels/{each.file.name}", path=each.file, sha256=each.sha256)
            for each in vendored.kept
        ),
    ]
    packed = pack(sorted(members, key=lambda each: each.name), target, compression=compression, on_progress=on_progress)
    return Wrapped(packed=packed, snapshot=locked, vendored=vendored)


def _readme(env: Environment, locked: Snapshot, vendored: Vendored) -> str:
    missing = "".join(f"  {each.package.name} {each.package.version}: {each.reason}\n" for each in vendored.missing)
    return _README.format(
        name=env.name,
        python=locked.language_version,
        minor=".".join(locked.language_version.split(".")[:2]),
        platform=locked.platform,
        missing=f"\nNot in here:\n\n{missing}" if missing else "",
    )
