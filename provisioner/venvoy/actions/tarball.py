"""One offline package of an environment, for people without venvoy: a lock, its wheels, and how to install them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ..model import Actor, Environment, OnProgress, Snapshot
from ..process import OnLine
from ..store import Store
from .archive import by_hand_of_r, file_members, lock_members, locked_now
from .channels import channel_options
from .kept import CHANNELS
from .packing import Member, Packed, compression_of, pack, place_for
from .vendor import Vendored, vendor

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
_README_CONDA = """\
{name}: a conda environment with Python {python} for {platform}.

Everything that is needed lies here; no network is used. With micromamba, mamba or conda (in this folder):

    micromamba create --prefix environment --override-channels {channels} --file specs.txt

and, where requirements.txt is here, what came from the Python index:

    environment/bin/python -m pip install --no-deps --require-hashes -r requirements.txt

conda-lock.yml names the addresses and hashes of all packages, environment.yml their versions.
{missing}"""
_README_R = """\
{name}: an R {python} environment for {platform}.

Everything that is needed lies here; no network is used. cran is a repository with the source of every package, and
below cran/built lies what was built of them:

{by_hand}
renv.lock has the versions, repositories and hashes of all packages; renv reads it. environment.yml names the versions
in conda's form.
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

    Raises InvalidInput for another name and for no folder, CommandFailed where the index is needed and does not answer.
    """
    compression = compression_of(target)
    target = place_for(target, f"{env.name}.tar.gz")
    locked = locked_now(store, env, actor=actor, on_line=on_line)
    vendored = vendor(store, env, locked, on_progress=on_progress, on_line=on_line)
    readme = Member(name="README.txt", data=_readme(env, locked, vendored).encode())
    inside = [each for each in lock_members(locked, vendored) if each.name != "snapshot.json"]
    everything = (readme, *inside, *file_members(vendored))
    members = [replace(each, name=f"{env.name}/{each.name}") for each in everything]
    packed = pack(sorted(members, key=lambda each: each.name), target, compression=compression, on_progress=on_progress)
    return Wrapped(packed=packed, snapshot=locked, vendored=vendored)


def _readme(env: Environment, locked: Snapshot, vendored: Vendored) -> str:
    missing = "".join(f"  {each.package.name} {each.package.version}: {each.reason}\n" for each in vendored.missing)
    text = {"venv": _README, "conda": _README_CONDA, "r": _README_R}[locked.kind]
    return text.format(
        channels=channel_options(locked.packages, CHANNELS),
        name=env.name,
        python=locked.language_version,
        minor=".".join(locked.language_version.split(".")[:2]),
        platform=locked.platform,
        by_hand=by_hand_of_r(locked, vendored.kept, vendored.folder),
        missing=f"\nNot in here:\n\n{missing}" if missing else "",
    )
