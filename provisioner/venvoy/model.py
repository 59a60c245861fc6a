"""The nouns: plain, frozen data that every other room shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

Ecosystem = Literal["pypi", "conda", "cran"]
Language = Literal["python", "r"]
Kind = Literal["venv", "conda"]
Origin = Literal["index", "archive", "vcs", "local", "editable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What an environment stands on and never changes: here an interpreter of this machine.

    `digest` is the sha256 of what the interpreter says of its own build, so two machines with the same build agree.
    `abi` is the tag of PEP 425 ("cp312"), `platform` is "linux-x86_64", `libc` is "glibc-2.36" or "musl-1.2".
    """

    path: Path
    version: str
    abi: str
    platform: str
    libc: str
    digest: str

    @property
    def minor(self) -> str:
        """The version down to its minor number, as in "3.12"."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A named place where packages live and kernels run.

    `prefix` is the one folder where packages are added. For environments that venvoy made it is a link to a
    generation, a sibling folder named by `generation`; for adopted ones `generation` is None and nothing is moved.

    What was asked for is `packages`, requirements of the Python index (PEP 508), and in a conda environment also
    `conda_packages`, match specs (CEP 29) that are looked for in `channels`, names or addresses, the first before the
    others. An environment that is `read_only` is looked at and run, and nothing is installed into it.
    """

    name: str
    prefix: Path
    language: Language = "python"
    runtime: str = "venv"
    python_version: str = ""
    base: Path | None = None
    base_image: str = ""
    generation: str | None = None
    created: datetime
    system: str = ""
    architecture: str = ""
    read_only: bool = False
    channels: tuple[str, ...] = ()
    conda_packages: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    dev_packages: tuple[str, ...] = ()
    env_file: tuple[Path, ...] = ()

    @property
    def platform(self) -> str:
        """What snapshots call the machine that it was made on: "linux-x86_64"."""
        return f"{self.system.lower()}-{self.architecture}"

    @property
    def adopted(self) -> bool:
        """Whether the prefix was there before venvoy and stays when the environment is deleted."""
        return self.generation is None

    @property
    def python(self) -> Path:
        """The interpreter inside the prefix."""
        return self.prefix / "bin" / "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run, said without knowing where it will run.

    `variables` are laid over the caller's, where None takes one away; `dropped` are shell patterns of variables that
    must not be handed on. `search` are folders of programs to be found before the environment's own, `tools` those to
    be found after all others.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str | None] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    search: tuple[Path, ...] = ()
    tools: tuple[Path, ...] = ()
    cwd: Path | None = None
    stdin: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One program start on this machine: the only thing that `process` accepts.

    `variables` are laid over the caller's environment, where None takes one away; `dropped` are shell patterns of
    names that are taken away first. `search` and `fallback` are folders put before and behind PATH.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str | None] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    search: tuple[Path, ...] = ()
    fallback: tuple[Path, ...] = ()
    cwd: Path | None = None
    stdin: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """One installed package; `url` and `sha256` are filled in by `freeze`, or known from a direct URL.

    `direct` says whether it was asked for by name; None where nothing is known. It is provenance and takes no part in
    comparisons, nor does `tree`, the digest of the files that it installs (`inventory.recorded`), "" where nobody
    looked. `url` of a vcs origin has the form "git+https://host/project@commit".

    Of a conda package `build` is the build string, `channel` the address of its channel without a slash at its end,
    and `url` ends in its subdir and file name. What its record says besides of the archive (`md5`, `size` in bytes), of
    what it `depends` on (match specs) and what it `constrains` goes into locks, and takes no part in comparisons.
    """

    ecosystem: Ecosystem = "pypi"
    name: str
    version: str
    build: str = ""
    channel: str = ""
    origin: Origin = "index"
    url: str = ""
    sha256: str = ""
    direct: bool | None = field(default=None, compare=False)
    tree: str = field(default="", compare=False)
    md5: str = field(default="", compare=False)
    size: int | None = field(default=None, compare=False)
    depends: tuple[str, ...] = field(default=(), compare=False)
    constrains: tuple[str, ...] = field(default=(), compare=False)

    @property
    def subdir(self) -> str:
        """The part of its channel that a conda package comes from: "linux-64", "noarch"; "" for any other package."""
        return self.url.rpartition("/")[0].rpartition("/")[2] if self.ecosystem == "conda" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One package that stands at another version, build or source than before."""

    name: str
    before: Package
    after: Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What makes one snapshot out of another; empty (false) where nothing does."""

    added: tuple[Package, ...] = ()
    removed: tuple[Package, ...] = ()
    changed: tuple[Change, ...] = ()
    interpreter: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.interpreter)

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was installed in one environment at one moment; a lock when every package has a url and a sha256.

    `image` is the public image that stands for the base where an environment is built from images ("python:3.12-slim",
    with its digest where that is known), or "". `state` is, in a lock, the digest of the state that it was made of.
    `channels` are those that a conda environment is solved from, the first before the others.
    """

    environment: str = field(compare=False)
    taken: datetime = field(compare=False)
    base: str = field(compare=False)
    image: str = field(default="", compare=False)
    state: str = field(default="", compare=False)
    language: Language = "python"
    language_version: str
    platform: str
    channels: tuple[str, ...] = ()
    packages: tuple[Package, ...]

    @property
    def kind(self) -> Kind:
        """What a prefix in that state is: a conda prefix where conda packages are in it."""
        return "conda" if self.channels or self.of("conda") else "venv"

    def package(self, name: str) -> Package | None:
        """The package of that canonical name, or None."""
        return next((package for package in self.packages if package.name == name), None)

    def of(self, ecosystem: Ecosystem) -> tuple[Package, ...]:
        """The packages that came from there."""
        return tuple(each for each in self.packages if each.ecosystem == ecosystem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a file asks for that is no lock: requirements as pip writes them, and a Python.

    `python` is a version ("3.12"), a range (">=3.10,<3.13"), or "" for any. `conda` are the match specs for a conda
    environment, Python's among them, `beyond` those of them that no venv can take, and `channels` where they are looked
    for. `remarks` are sentences on what the file asks for and does not get.
    """

    name: str = ""
    python: str = ""
    requirements: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far something that takes long has come. `unit` is "bytes" or the plural of what is counted ("packages").

    `total` is None where nobody knows it.
    """

    phase: str
    done: int
    total: int | None = None
    unit: str = "bytes"


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody asked an installer for, by name: the provenance of a change."""

    tool: str
    verb: Literal["install", "remove"]
    names: tuple[str, ...]
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who made a change: a cell of a notebook, a `venvoy` command, or a hand that nobody saw ("terminal")."""

    kind: Literal["cell", "command", "terminal"]
    notebook: str = ""
    cell: str = ""
    count: int | None = None
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that `check` found. `code` is stable for scripts; `mend` is the command that mends it."""

    code: str
    message: str
    mend: str = ""
    severity: Literal["error", "warning"] = "error"
