"""What the sidebar may ask for beside what a notebook does: environments come, are filled, are proved and mended."""

from __future__ import annotations

import re

from ...actions.detect import AUTO
from ...containers import ENGINES
from ...errors import InvalidInput, NotPermitted
from ..views.view import counted
from .asking import Options, Places, Said, Verb, parser

RUNTIMES = ("venv", "conda", AUTO, *ENGINES)


def _init(name: str, options: Options, places: Places) -> tuple[str, ...]:
    said = {"runtime": options.runtime, "language": options.language, "python": _version(options.python)}
    said["image"] = options.image and _image(options.image, places)
    files = {"from": options.source, "requirements": options.requirements}
    return (
        "init",
        name,
        *(f"--{option}={value}" for option, value in said.items() if value),
        *(f"--{option}={places.file(value)}" for option, value in files.items() if value),
    )


def _of_file(command: str) -> Said:
    """How a command makes an environment of a file."""

    def said(name: str, options: Options, places: Places) -> tuple[str, ...]:
        wanted = {"runtime": options.runtime, "python": _version(options.python)}
        also = tuple(f"--{option}={value}" for option, value in wanted.items() if value)
        force = ("--force",) if options.force else ()
        return (command, f"--name={name}", *also, *force, "--", str(places.file(options.file)))

    return said


def _version(python: str | None) -> str | None:
    """The same. Raises NotPermitted for the path of an interpreter, which lies outside of the server's folder."""
    if python and ("/" in python or python.startswith("~")):
        raise NotPermitted(f"{python} is a path", hint="name a version: --python 3.12")
    return python


def _image(said: str, places: Places) -> str:
    """An image's name, or where the file lies that is meant. Raises NotPermitted."""
    return str(places.file(said)) if _is_path(said) else said


def _package(said: str, places: Places) -> str:
    """A package as its installer takes it; a file is one of the server's folder. Raises NotPermitted."""
    path, bracket, extras = said.partition("[")
    if _is_path(path):
        return f"{places.file(path)}{bracket}{extras}"
    if any(_is_path(each) or "file:" in each.lower() for each in re.split(r"\s*@\s*|::", said)):
        raise NotPermitted(f"{said} leads to a file", hint="name the file alone, from the server's folder on")
    return said


def _channel(said: str, places: Places) -> str:
    """A channel's name or address; a folder is one of the server's folder. Raises NotPermitted."""
    if "file:" in said.lower():
        raise NotPermitted(f"{said} leads to a file", hint="name the folder alone, from the server's folder on")
    return str(places.file(said)) if _is_path(said) else said


def _is_path(said: str) -> bool:
    """Whether it could lead out of the folder that a command is run in."""
    return said.startswith(("/", ".", "~")) or ("://" not in said and ".." in said.split("/"))


def _install(name: str, options: Options, places: Places) -> tuple[str, ...]:
    _refuse_options(options.package)
    packages = [_package(each, places) for each in options.package]
    flags = [f"--{each}" for each in ("dev", "pip", "r", "system") if getattr(options, each)]
    channels = [f"--channel={_channel(each, places)}" for each in options.channel]
    return ("install", f"--name={name}", *flags, *channels, "--", *packages)


def _remove(name: str, options: Options, _places: Places) -> tuple[str, ...]:
    _refuse_options(options.package)
    flags = [f"--{each}" for each in ("r", "system") if getattr(options, each)]
    return ("remove", f"--name={name}", *flags, "--", *options.package)


def _refuse_options(packages: list[str]) -> None:
    """A package that begins so would be an option to whoever installs it."""
    if wrong := [each for each in packages if not each.strip() or each.lstrip().startswith("-")]:
        raise InvalidInput(f"{counted(len(wrong), 'word')} of these is no package: {wrong[0]!r}")


def _verify(name: str, options: Options, _places: Places) -> tuple[str, ...]:
    return ("verify", f"--name={name}", *(("--no-rebuild",) if options.no_rebuild else ()))


def _build(name: str, options: Options, _places: Places) -> tuple[str, ...]:
    said = {"runtime": options.runtime, "tag": options.tag}
    return ("build", name, *(f"--{option}={value}" for option, value in said.items() if value))


def _configure(name: str, options: Options, _places: Places) -> tuple[str, ...]:
    return ("configure", name, f"--set=record={'true' if options.record == 'on' else 'false'}")


def _repair(name: str, _options: Options, _places: Places) -> tuple[str, ...]:
    return ("repair", name)


def _initing() -> Verb:
    words = parser("init", "Make an environment, with its kernel in Jupyter.", magic=False)
    words.add_argument("--runtime", choices=RUNTIMES, help="what it is made as")
    words.add_argument("--python", metavar="VERSION", help="which Python")
    words.add_argument("--image", metavar="NAME", help="containers: of which image")
    words.add_argument("--from", dest="source", metavar="FILE", help="what to install: a file of any format")
    words.add_argument("--requirements", metavar="FILE", help="what to install, as pip writes it")
    words.add_argument("--language", choices=("python", "r", "python,r"), help="what its kernels speak")
    return Verb(name="init", command=_init, parser=words)


def _making(name: str, help_: str, *, command: str, file: str) -> Verb:
    """A verb that makes an environment of a file."""
    words = parser(name, help_, magic=False)
    words.add_argument("file", metavar="FILE", help=file)
    words.add_argument("--runtime", choices=RUNTIMES, help="what to make it as")
    words.add_argument("--python", metavar="VERSION", help="another Python than the file's")
    words.add_argument("--force", action="store_true", help="replace the one of that name")
    return Verb(name=name, command=_of_file(command), parser=words)


def _installing() -> Verb:
    words = parser("install", "Install packages.", magic=False)
    words.add_argument("package", nargs="+", metavar="PACKAGE", help="as in 'numpy>=2'")
    words.add_argument("--dev", action="store_true", help="note them as what only development needs")
    words.add_argument("--pip", action="store_true", help="conda: from the Python index")
    words.add_argument("--r", action="store_true", help="R packages, of one that speaks Python and R")
    words.add_argument("--channel", action="append", default=[], metavar="NAME", help="conda: look in it, too")
    words.add_argument("--system", action="store_true", help="containers: packages of the image's system")
    return Verb(name="install", command=_install, parser=words)


def _removing() -> Verb:
    words = parser("remove", "Take packages out.", magic=False)
    words.add_argument("package", nargs="+", metavar="PACKAGE", help="its name")
    words.add_argument("--r", action="store_true", help="the R package of that name")
    words.add_argument("--system", action="store_true", help="containers: what was installed with --system")
    return Verb(name="remove", command=_remove, parser=words)


def _verifying() -> Verb:
    words = parser("verify", "Say in levels how far the environment is what its lock says.", magic=False)
    words.add_argument("--no-rebuild", action="store_true", help="leave L3 out")
    return Verb(name="verify", command=_verify, parser=words)


def _building() -> Verb:
    words = parser("build", "Build an image that needs nothing of venvoy.", magic=False)
    words.add_argument("--runtime", choices=ENGINES, help="which program builds it")
    words.add_argument("--tag", metavar="NAME", help="what to call the image")
    return Verb(name="build", command=_build, parser=words)


def _configuring() -> Verb:
    words = parser("configure", "Switch on or off that kernels write down what changes in it.", magic=False)
    words.add_argument("--record", choices=("on", "off"), required=True, help="from now on, also in kernels that run")
    return Verb(name="configure", command=_configure, parser=words)


VERBS = (
    _initing(),
    _making(
        "make",
        "Make an environment from a lock or another file, or as a notebook recorded it.",
        command="restore",
        file="the lock, or the notebook",
    ),
    _installing(),
    _removing(),
    _making("import", "Make an environment from an archive.", command="import-archive", file="the archive"),
    _verifying(),
    _building(),
    _configuring(),
    Verb(
        name="repair",
        command=_repair,
        parser=parser("repair", "Mend what can be mended, and say what was done.", magic=False),
    ),
)
