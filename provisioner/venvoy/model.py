"""The nouns: plain, frozen data that every other room shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

Ecosystem = Literal["pypi", "conda", "cran", "bioconductor", "deb", "apk", "rpm"]
OF_R: tuple[Ecosystem, ...] = ("cran", "bioconductor")
"""Where packages of R come from."""
Language = Literal["python", "r"]
LANGUAGES: Mapping[Language, str] = {"python": "Python", "r": "R"}
"""As people write them."""
Kind = Literal["venv", "conda", "r"]
Engine = Literal["docker", "podman", "apptainer", "singularity"]
Network = Literal["none", "host", "bridge"]
Origin = Literal["index", "archive", "vcs", "local", "editable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Where R looks for packages: its name in the option `repos` ("CRAN"), its address without a slash at the end."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What an environment stands on and never changes: here an interpreter of this machine.

    `digest` is the sha256 of what the interpreter says of its own build, so two machines with the same build agree.
    `abi` is the tag of PEP 425 ("cp312"), or "r42" of R, `platform` is "linux-x86_64", `libc` is "glibc-2.36" or
    "musl-1.2". Of R `path` is that of its Rscript.
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


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mount:
    """A file or folder of this machine that is seen inside a container, at the absolute path `target`."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a container gets, said once for all runtimes; what is not said is left to the runtime.

    `gpus` is "" for none, "all", or their numbers ("0,1"); `cpus` how many processors (0.5), `memory` and `shm_size`
    (of /dev/shm) are bytes, `devices` paths such as "/dev/fuse".
    """

    gpus: str = ""
    cpus: float | None = None
    memory: int | None = None
    shm_size: int | None = None
    network: Network | None = None
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a container environment stands on and never changes.

    `reference` is as it was asked for. `digest` names the content: the one of its configuration, by which Docker and
    Podman call the image alike, or of a SIF `file` that of the file ("sha256:…"). `search` is its own PATH, `made_of`
    the digest of the image that a SIF was made of, "" where nobody knows.

    The rest says how others get it again. `registered` is the name by which a registry gives just this one
    ("docker.io/library/python@sha256:…", the digest of its manifest there), "" where none is known to. `sha256` is that
    of the file, and `dockerfile` the text of the Dockerfile, that `reference` names where it came from one.
    Where venvoy has put `system_packages` on top of another image, `origin` is the digest of that one.
    """

    reference: str
    digest: str
    file: Path | None = None
    search: str = ""
    made_of: str = ""
    registered: str = ""
    sha256: str = ""
    dockerfile: str = ""
    origin: str = ""
    system_packages: tuple[str, ...] = ()

    @property
    def kept(self) -> str:
        """The name by which Docker and Podman keep it, whoever else gives it names and takes them away."""
        return f"localhost/venvoy/kept:{self.digest.partition(':')[2][:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a recipe for an environment's image begins from, and has before the packages of its language.

    `python` is the path of the interpreter in it, `system` what its own package manager puts on top of the `image`.
    """

    image: Image
    python: str
    system: tuple[Package, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """How an environment's image is run.

    `engine` is which program the runtime really is (a `docker` may be Podman), `rootless` whether it runs with the
    user's own rights. `home` is the user's home folder where that is seen inside, `users` a
    folder with a passwd and a group that name the user where the image's own do not; with `writable` the image's own
    files can be changed until the container ends. One that is `apart`, for what strangers made, sees nothing of this
    machine that is not mounted, not even its temporary folders where others see those.
    """

    image: Image
    engine: Engine
    rootless: bool = False
    resources: Resources = Resources()
    mounts: tuple[Mount, ...] = ()
    home: Path | None = None
    users: Path | None = None
    writable: bool = False
    apart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A named place where packages live and kernels run.

    `prefix` is the one folder where packages are added. For environments that venvoy made it is a link to a
    generation, a sibling folder named by `generation`; for adopted ones `generation` is None and nothing is moved.

    What was asked for is `packages`, requirements of the Python index (PEP 508), and in a conda environment also
    `conda_packages`, match specs (CEP 29) that are looked for in `channels`, names or addresses, the first before the
    others. R looks for packages in the `repositories`, or where it is configured to when there are none. An environment
    that is `read_only` is looked at and run, and nothing is installed into it. Where `record` is False, kernels write
    nothing down of what changes; commands do.

    One that speaks Python and R has the language "python" and `also` R: the library lies in the prefix of Python, and
    `r_packages` are what was asked for of R. `speaking` gives each half of it as an environment of that language.
    """

    name: str
    prefix: Path
    language: Language = "python"
    also: tuple[Language, ...] = ()
    runtime: str = "venv"
    python_version: str = ""
    r_version: str = ""
    base: Path | None = None
    base_image: str = ""
    generation: str | None = None
    created: datetime
    system: str = ""
    architecture: str = ""
    read_only: bool = False
    record: bool = True
    channels: tuple[str, ...] = ()
    repositories: tuple[Repository, ...] = ()
    conda_packages: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    r_packages: tuple[str, ...] = ()
    dev_packages: tuple[str, ...] = ()
    env_file: tuple[Path, ...] = ()
    container: Container | None = None

    @property
    def languages(self) -> tuple[Language, ...]:
        """All that it speaks, its own first."""
        return (self.language, *self.also)

    @property
    def halves(self) -> tuple[Environment, ...]:
        """It as an environment of each language that it speaks; itself where that is one."""
        return tuple(map(self.speaking, self.languages))

    def speaks(self, language: Language) -> bool:
        """Whether it has a kernel and packages of that language."""
        return language in self.languages

    def speaking(self, language: Language) -> Environment:
        """It as an environment of that language, which it speaks: to look at or run one half of it, never to save."""
        if language == self.language:
            return self
        listed = self.r_packages if language == "r" else self.packages
        others = tuple(each for each in self.languages if each != language)
        return replace(self, language=language, also=others, packages=listed)

    def listing_r(self, specs: tuple[str, ...]) -> Environment:
        """It with another list of what was asked for of R."""
        return replace(self, packages=specs) if self.language == "r" else replace(self, r_packages=specs)

    @property
    def platform(self) -> str:
        """What snapshots call the machine that it was made on: "linux-x86_64"."""
        return f"{self.system.lower()}-{self.architecture}"

    @property
    def kind(self) -> Kind:
        """What the prefix is, wherever it is run."""
        if self.language == "r":
            return "r"
        return "conda" if self.runtime == "conda" else "venv"

    @property
    def adopted(self) -> bool:
        """Whether the prefix was there before venvoy and stays when the environment is deleted."""
        return self.generation is None

    @property
    def python(self) -> Path:
        """The interpreter inside the prefix."""
        return self.prefix / "bin" / "python"

    @property
    def interpreter(self) -> Path:
        """What runs a file of the environment's language: `python`, or the Rscript in the prefix."""
        return self.prefix / "bin" / "Rscript" if self.language == "r" else self.python

    @property
    def library(self) -> Path:
        """Where its R packages lie."""
        return self.prefix / "R"

    @property
    def language_name(self) -> str:
        """As people write it."""
        return LANGUAGES[self.language]

    @property
    def language_version(self) -> str:
        """The version of what its kernel runs on, "" where nobody knows it."""
        return self.r_version if self.language == "r" else self.python_version

    @property
    def speech(self) -> str:
        """What it speaks, with the versions: "Python 3.12.1 and R 4.4.1"."""
        return " and ".join(f"{each.language_name} {each.language_version}".rstrip() for each in self.halves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run, said without knowing where it will run.

    `variables` are laid over the caller's, where None takes one away; `dropped` are shell patterns of variables that
    must not be handed on. `search` are folders of programs to be found before the environment's own, `tools` those to
    be found after all others.

    For containers: `mounts` are what the job needs of this machine beside the environment, `label` names the container,
    which then stays after its end until it is removed, `labels` are for whoever finds it. `terminal` says what stdin
    is: nothing, a pipe, or a terminal. `online` gives it a network whatever the environment says.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str | None] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    search: tuple[Path, ...] = ()
    tools: tuple[Path, ...] = ()
    cwd: Path | None = None
    stdin: str | None = None
    mounts: tuple[Mount, ...] = ()
    label: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    terminal: Literal["none", "pipe", "tty"] = "none"
    online: bool = False


def is_among(name: str, patterns: Iterable[str]) -> bool:
    """Whether a variable is among those of shell patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


UNIQUE = "{unique}"
"""Stands in the words of a Command for a token that is drawn when it is started."""
HANDED_ON = "--hands-on"
"""Stands in the words of a Command for `--env NAME` of each variable that it hands on and that is set by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One program start on this machine: the only thing that `process` accepts.

    `variables` are laid over the caller's environment, where None takes one away; `dropped` are shell patterns of
    names that are taken away first, and `kept`, where there are any, of the only ones that are not. `copied` are names
    under which the caller's variable of that name is handed on, too. `search` and `fallback` are folders put before and
    behind PATH. `together`: what it prints is no answer, and is heard with the rest of what it says. `last` is the argv
    that ends what the program would leave running when it is killed, and `deliver` what gives that a signal, its number
    in the place of `{}`. UNIQUE in words of `last`, and in the same words of the others, is replaced by what no other
    start has. HANDED_ON stands for those of `handed_on`: Docker would take a name that is not set from the image, too.
    """

    argv: tuple[str, ...]
    variables: Mapping[str, str | None] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    copied: Mapping[str, str] = field(default_factory=dict)
    handed_on: tuple[str, ...] = ()
    search: tuple[Path, ...] = ()
    fallback: tuple[Path, ...] = ()
    cwd: Path | None = None
    stdin: str | None = None
    together: bool = False
    last: tuple[str, ...] = ()
    deliver: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """One installed package; `url` and `sha256` are filled in by `freeze`, or known from a direct URL.

    `direct` says whether it was asked for by name; None where nothing is known. It is provenance and takes no part in
    comparisons, nor does `tree`, the digest of the files that it installs (`inventory.recorded`), "" where nobody
    looked. `url` of a vcs origin has the form "git+https://host/project@commit".

    Of a conda package `build` is the build string, `channel` the address of its channel without a slash at its end,
    and `url` ends in its subdir and file name. What its record says besides of the archive (`md5`, `size` in bytes), of
    what it `depends` on (match specs) and what it `constrains` goes into locks, and takes no part in comparisons.
    Of an R package `channel` is the repository's name where that is not CRAN, `depends` has bare names, and what the
    `url` gives is its source.
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
class Contents:
    """What is in an image: the same image has the same in every runtime.

    `machine` is as uname calls it, `system` as os-release does, `libc` is "glibc-2.36" or "musl-1.2.4". `python` is the
    interpreter that is found first, None where none runs; `rscript` the path of R's, and `r_version` its version, ""
    for none. `packages` are all that the image's own managers know, and those that its interpreters find.
    """

    machine: str
    system: str
    libc: str
    python: Base | None = None
    rscript: str = ""
    r_version: str = ""
    packages: tuple[Package, ...] = ()

    def of(self, ecosystem: Ecosystem) -> tuple[Package, ...]:
        """The packages that came from there."""
        return tuple(each for each in self.packages if each.ecosystem == ecosystem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One package that stands at another version, build or source than before."""

    name: str
    before: Package
    after: Package


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseChange:
    """What makes the contents of one image out of another's.

    `facts` are those that differ, each by its name ("system", "libc", "machine", "python", "r") with what it was and
    is. The packages are the image's own, of all its managers.
    """

    facts: tuple[tuple[str, str, str], ...] = ()
    added: tuple[Package, ...] = ()
    removed: tuple[Package, ...] = ()
    changed: tuple[Change, ...] = ()

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.changed)

    def __bool__(self) -> bool:
        return bool(self.facts or len(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What makes one snapshot out of another; empty (false) where nothing does. Its length counts the prefix alone.

    `base` is what differs between the images that they stand on, None where these have the same in them, or where it is
    not known of both.
    """

    added: tuple[Package, ...] = ()
    removed: tuple[Package, ...] = ()
    changed: tuple[Change, ...] = ()
    interpreter: tuple[str, str] | None = None
    base: BaseChange | None = None

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.interpreter or self.base)

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What was installed in one environment at one moment; a lock when every package has a url and a sha256.

    `base` names what it stands on: the digest of an interpreter's build, or of what is in an image ("contents:…"),
    which is the same in every runtime. `contents` says what that is, None where it is no image, or was not looked up;
    `stands_on` is the image as the runtime here calls it.

    `image` is the public image that stands for the base where an environment is built from images ("python:3.12-slim",
    with its digest where that is known), or "". `state` is, in a lock, the digest of the state that it was made of.
    `channels` are those that a conda environment is solved from, the first before the others. In a lock of an R
    environment `repositories` are those that its packages come from, and `bioconductor` is the release of Bioconductor
    ("3.20"), "" where it has none. `r_version` is that of the R which a Python environment has besides, "" for none.
    """

    environment: str = field(compare=False)
    taken: datetime = field(compare=False)
    base: str = field(compare=False)
    contents: Contents | None = field(default=None, compare=False, repr=False)
    stands_on: Image | None = field(default=None, compare=False)
    image: str = field(default="", compare=False)
    state: str = field(default="", compare=False)
    repositories: tuple[Repository, ...] = field(default=(), compare=False)
    bioconductor: str = field(default="", compare=False)
    language: Language = "python"
    language_version: str
    r_version: str = ""
    platform: str
    channels: tuple[str, ...] = ()
    packages: tuple[Package, ...]

    @property
    def halves(self) -> tuple[Snapshot, ...]:
        """It as a state of each language that its environment speaks; itself where that is one."""
        if not self.r_version:
            return (self,)
        by_r = tuple(each for each in self.packages if each.ecosystem in OF_R)
        others = tuple(each for each in self.packages if each.ecosystem not in OF_R)
        return (
            replace(self, packages=others, r_version="", repositories=(), bioconductor=""),
            replace(self, packages=by_r, r_version="", language="r", language_version=self.r_version, channels=()),
        )

    def beside(self, by_r: Snapshot) -> Snapshot:
        """The state of an environment that speaks Python, this one, and R: both halves in one."""
        return replace(
            self,
            r_version=by_r.language_version,
            repositories=by_r.repositories,
            bioconductor=by_r.bioconductor,
            packages=tuple(sorted((*self.packages, *by_r.packages))),
        )

    @property
    def kind(self) -> Kind:
        """What a prefix in that state is: a conda prefix where conda packages are in it."""
        if self.language == "r":
            return "r"
        return "conda" if self.channels or self.of("conda") else "venv"

    @property
    def language_name(self) -> str:
        """As people write it."""
        return LANGUAGES[self.language]

    @property
    def speech(self) -> str:
        """Its languages with their versions: "Python 3.12.1 and R 4.4.1"."""
        return " and ".join(f"{each.language_name} {each.language_version}".rstrip() for each in self.halves)

    @property
    def versions(self) -> str:
        """What its kernels run on: "3.12.1", or "3.12.1, R 4.4.1" where it speaks Python and R."""
        return f"{self.language_version}, R {self.r_version}" if self.r_version else self.language_version

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
    for. Where they name nothing but an R and packages of it, by version, `r` and `of_r` say which, by conda's names in
    small letters. `remarks` are sentences on what the file asks for and does not get.
    """

    name: str = ""
    python: str = ""
    requirements: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    r: str = ""
    of_r: tuple[Package, ...] = ()
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
    """Who made a change: a cell of a notebook, a `venvoy` command, the sidebar, or a hand that nobody saw ("terminal").

    Of the sidebar `notebook` is the one in front of it, and `command` the same on a command line.
    """

    kind: Literal["cell", "command", "sidebar", "terminal"]
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
