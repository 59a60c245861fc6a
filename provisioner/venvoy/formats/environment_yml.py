"""conda's environment.yml (CEP 24): conda packages, and what came from the Python index in its pip section."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from ..errors import InvalidInput
from ..model import Image, Package, Snapshot, Wish
from .origins import public
from .pylock import is_version
from .r_names import R, of_r, r_name, r_spec
from .yaml_text import loaded, shown

LIMIT = 2_000_000
"""Characters of the longest file that is read; a thousand pinned packages take a twentieth of that."""
_MATCH = re.compile(r"(?:[\w./:-]+::)?(?P<name>[\w.-]+)\s*(?P<rest>(?:[\s=<>!~\[].*)?)", re.DOTALL)
_PIN = re.compile(r"(?:={1,2}\s*)?(?P<version>[0-9][\w.!+-]*?)(?:\.?\*)?(?:\s*=\s*\S+|\s+\S+)?")
_HAD_BY_VENV = re.compile(
    r"python|pip|_libgcc_mutex|_openmp_mutex|bzip2|ca-certificates|icu|ld_impl_[\w-]+|ncurses|openssl|python_abi|readline|setuptools"
    r"|lib(?:expat|ffi|gcc(?:-ng)?|gomp|lzma|mpdec|nsl|sqlite|stdcxx(?:-ng)?|uuid|xcrypt|zlib)"
    r"|sqlite|tk|tzdata|wheel|xz|zlib|zstd"
)
"""What a venv has, too: its interpreter has of its own what conda's Python needs, and `conda env export` lists."""
_PLAIN = re.compile(r"(?!(?i:true|false|null|yes|no|on|off|y|n)$)[A-Za-z][\w.-]*", re.ASCII)
_PLAIN_REQUIREMENT = re.compile(r"(?:-e |[A-Za-z0-9][\w.-]*(?:={2,3}| @ ))(?!#)[!-~]+(?<!:)", re.ASCII)
_SPEC = re.compile(r"(?![-?:,\[\]{}#&*!|>'\"%@`])(?:(?!: | #)[!-~])+(?<!:)", re.ASCII)
"""A match spec that needs no quotes: nothing at its start or in it that means something in YAML."""
_EXACT = re.compile(
    r"(?:(?P<channel>\S+)::)?(?P<name>[\w.-]+)\s*(?:==?|\s)\s*(?P<version>[^\s=<>!~|,*\[]+)"
    r"(?:(?:=|\s+)(?P<build>[^\s=<>!~|,*\[]+))?"
)
_REMARK = re.compile(r"(?m)^# ([A-Za-z][A-Za-z0-9.]*) ([0-9][0-9.-]*): ([!-~]+)$")


@dataclass(frozen=True, slots=True)
class EnvironmentYml:
    """The record's form: everything pinned, sorted, and nothing of the clock in it.

    With `builds` conda packages are named with their build strings, which other platforms do not have.
    """

    name: str = "yaml"
    filename: str = "environment.yml"
    builds: bool = False

    def dump(self, snapshot: Snapshot) -> str:
        if snapshot.kind == "conda":
            return self._of_conda(snapshot)
        if snapshot.language == "r":
            return _of_r(snapshot)
        first, *others = snapshot.halves
        pip = next((each for each in first.packages if _conda_has(each)), None)
        listed = [requirement(each) for each in sorted(first.packages) if each != pip]
        by_r = _wish_of_r(others[0]) if others else None
        lines = [
            *_stands_on(snapshot.stands_on),
            f"name: {_scalar(snapshot.environment, _PLAIN)}",
            "channels:",
            *(f"  - {each}" for each in (by_r.channels if by_r else ("conda-forge",))),
            "dependencies:",
            f"  - python={snapshot.language_version}",
            *(f"  - {_scalar(each, _PLAIN_REQUIREMENT)}" for each in (by_r.conda if by_r else ())),
        ]
        if pip or listed:
            lines.append(f"  - pip={pip.version}" if pip else "  - pip")
        if listed:
            lines += ["  - pip:", *(f"      - {_scalar(each, _PLAIN_REQUIREMENT)}" for each in listed)]
        return "\n".join(lines) + "\n" + (_remarks_of_r(others[0]) if others else "")

    def _of_conda(self, snapshot: Snapshot) -> str:
        return written(
            Wish(
                name=snapshot.environment,
                channels=snapshot.channels,
                conda=tuple(spec(each, builds=self.builds) for each in sorted(snapshot.of("conda"))),
                requirements=tuple(requirement(each) for each in sorted(snapshot.of("pypi"))),
            )
        )

    def state(self, wish: Wish, *, source: str) -> Snapshot:
        """What a wish describes that leaves nothing open. Raises InvalidInput with the first thing that it leaves."""
        if wish.r:
            raise InvalidInput(
                f"{source} has the names of R's packages in small letters alone",
                hint="compare with the number of that state (venvoy history), or with a renv.lock",
            )
        packages = tuple(_pinned(each, source) for each in wish.requirements if not each.startswith(("--", "-c ")))
        if wish.beyond:
            packages += tuple(_exact(each, source) for each in wish.conda)
        return Snapshot(
            environment=wish.name,
            taken=datetime.now(UTC),
            base="",
            language_version=wish.python,
            platform="",
            channels=wish.channels if wish.beyond else (),
            packages=tuple(sorted(packages)),
        )

    def load(self, text: str, *, source: str) -> Wish:
        """Read ours, or one written by hand; `source` names the file in errors. Raises InvalidInput."""
        said = _mapping(text, source)
        if "dependencies" not in said:
            raise InvalidInput(
                f"{source}: not an environment.yml (it has no dependencies)",
                hint="an empty environment is written: dependencies: []",
            )
        conda, requirements = _listed(said.get("dependencies") or [], source)
        names = {entry: _match(entry, source)["name"].lower() for entry in conda}
        beyond = tuple(entry for entry, name in names.items() if not _HAD_BY_VENV.fullmatch(name))
        python, pip = _of_venv(conda, source, strict=not beyond)
        if pip and not beyond:  # in a conda environment conda brings its own pip
            requirements = [f"pip{pip}", *requirements]
        r, packages = of_r(conda) if not requirements else ("", ())
        return Wish(
            name=_name(said.get("name"), source),
            python=python.removeprefix("==").removesuffix(".*"),
            requirements=tuple(requirements),
            channels=_channels(said.get("channels"), source),
            conda=tuple(conda),
            beyond=beyond,
            r=r,
            of_r=packages,
            remarks=(*_variables(said.get("variables")), *(_beside(text) if r else ())),
        )


def _stands_on(image: Image | None) -> Iterator[str]:
    """The image as a comment: the format has no word for it, and whoever reads it without us need not know."""
    if image:
        reference = "".join(each if each.isprintable() else "?" for each in image.reference)
        yield f"# in the image {reference} ({image.digest})"


def _listed(dependencies: object, source: str) -> tuple[list[str], list[str]]:
    """The match specs, and what stands under pip."""
    if not isinstance(dependencies, list):
        raise InvalidInput(f"{source}: dependencies must be a list")
    conda: list[str] = []
    requirements: list[str] = []
    for entry in dependencies:
        if isinstance(entry, dict) and set(entry) == {"pip"}:
            requirements += _requirements(entry["pip"], source)
        elif isinstance(entry, str):
            conda.append(entry.strip())
        else:
            raise InvalidInput(f"{source}: {shown(entry)} in dependencies is neither a package nor a pip list")
    return conda, requirements


def _match(entry: str, source: str) -> re.Match[str]:
    if found := _MATCH.fullmatch(entry):
        return found
    raise InvalidInput(f"{source}: {shown(entry)} in dependencies is no match spec")


def _of_venv(conda: list[str], source: str, *, strict: bool) -> tuple[str, str]:
    """What is asked of Python and pip; "" for what only conda can read, where a venv is not meant."""
    try:
        return _asked(conda, "python", source), _asked(conda, "pip", source)
    except InvalidInput:
        if strict:
            raise
        return "", ""


def _asked(conda: list[str], name: str, source: str) -> str:
    """What the specs ask of one package, as PEP 440 says it; "" for any version, or none. The last counts."""
    said = [(entry, _match(entry, source)) for entry in conda]
    asked = [_specifier(found["rest"].strip(), entry, source) for entry, found in said if found["name"].lower() == name]
    return asked[-1] if asked else ""


def _pinned(line: str, source: str) -> Package:
    try:
        asked = Requirement(re.split(r"\s(?:#|--)", line, maxsplit=1)[0].strip())
    except InvalidRequirement:
        raise InvalidInput(f"{source}: {line[:100]!r} names no version") from None
    [*specifiers] = asked.specifier
    name = canonicalize_name(asked.name)
    if asked.url:
        return Package(
            name=name, version="", origin="vcs" if asked.url.startswith("git+") else "archive", url=asked.url
        )
    if len(specifiers) != 1 or specifiers[0].operator not in ("==", "===") or specifiers[0].version.endswith(".*"):
        raise InvalidInput(f"{source}: {asked} leaves its version open", hint="compare an environment made from it")
    return Package(name=name, version=specifiers[0].version)


def _of_r(snapshot: Snapshot) -> str:
    """An R library by the names that conda-forge and Bioconda have for its packages (conda-forge's "r-" recipes).

    What came from elsewhere they do not have; it stands in remarks.
    """
    return written(_wish_of_r(snapshot)) + _remarks_of_r(snapshot)


def _wish_of_r(snapshot: Snapshot) -> Wish:
    packages = sorted(snapshot.packages, key=_by_r_name)
    specs = tuple(r_spec(each) for each in packages if each.origin == "index")
    return Wish(
        name=snapshot.environment,
        channels=("conda-forge", "bioconda") if snapshot.of("bioconductor") else ("conda-forge",),
        conda=(f"{R}={snapshot.language_version}", *specs),
    )


def _by_r_name(package: Package) -> tuple[str, Package]:
    return r_name(package), package


def _remarks_of_r(snapshot: Snapshot) -> str:
    others = (each for each in sorted(snapshot.packages, key=_by_r_name) if each.origin != "index")
    places = (each for each in snapshot.repositories if each.url.isprintable())
    text = "".join(f"# {each.name}: {public(each.url)}\n" for each in places)
    return text + "".join(f"# {each.name} {each.version}: {each.url or each.origin}\n" for each in others)


def _beside(text: str) -> tuple[str, ...]:
    """The packages of an R environment that stand in its remarks alone (`_of_r`)."""
    return tuple(f"{each[1]} {each[2]} is not made again: it came from {each[3]}" for each in _REMARK.finditer(text))


def written(wish: Wish) -> str:
    """A wish as an environment.yml; its lists keep their order."""
    lines = [
        f"name: {_scalar(wish.name, _PLAIN)}",
        "channels:" if wish.channels else "channels: []",
        *(f"  - {_scalar(each, _SPEC)}" for each in wish.channels),
        "dependencies:" if wish.conda or wish.requirements else "dependencies: []",
        *(f"  - {_scalar(each, _SPEC)}" for each in wish.conda),
    ]
    if wish.requirements:
        lines += ["  - pip:", *(f"      - {_scalar(each, _PLAIN_REQUIREMENT)}" for each in wish.requirements)]
    return "\n".join(lines) + "\n"


def spec(package: Package, *, builds: bool) -> str:
    """A conda package as conda's own export writes it: `name=version=build`, or `name==version` for any build.

    With one "=" a version stands for all that begin with it.
    """
    return f"{package.name}={package.version}={package.build}" if builds else f"{package.name}=={package.version}"


def _exact(entry: str, source: str) -> Package:
    found = _EXACT.fullmatch(entry)
    if found is None:
        raise InvalidInput(f"{source}: {entry} leaves its version open", hint="compare an environment made from it")
    return Package(ecosystem="conda", name=found["name"].lower(), version=found["version"], build=found["build"] or "")


def requirement(package: Package) -> str:
    """The package as a line of a requirements file, with nothing left to choose."""
    if package.origin == "editable":
        return f"-e {package.url}"
    if package.origin == "index":
        # "===" is for versions from before PEP 440.
        return f"{package.name}{'==' if is_version(package.version) else '==='}{package.version}"
    return f"{package.name} @ {package.url}"


def _conda_has(package: Package) -> bool:
    """Whether it is the pip that conda itself can install in that version."""
    return package.name == "pip" and package.origin == "index" and is_version(package.version)


def _scalar(text: str, plain: re.Pattern[str]) -> str:
    """The text as YAML reads it back: in quotes unless it is surely a plain string."""
    if plain.fullmatch(text):
        return text
    escaped = (each if " " <= each <= "~" and each not in '"\\' else f"\\U{ord(each):08x}" for each in text)
    return f'"{"".join(escaped)}"'


def _mapping(text: str, source: str) -> Mapping[str, Any]:
    if len(text) > LIMIT:
        raise InvalidInput(f"{source} is too long for an environment.yml ({len(text)} characters)")
    said = loaded(text, source=source, typ="safe")
    if not isinstance(said, dict):
        raise InvalidInput(f"{source}: not an environment.yml (no keys)")
    return said


def _name(said: object, source: str) -> str:
    if said is None or isinstance(said, str):
        return said or ""
    raise InvalidInput(f"{source}: name must be a string (in quotes), not {shown(said)}")


def _variables(said: object) -> tuple[str, ...]:
    """What the file says of variables, which nobody has set by that."""
    if not isinstance(said, dict) or not said:
        return ()
    names = ", ".join(str(each)[:40] for each in said)
    return (f"its variables are not set ({names}): write them into a file, and: venvoy configure --set env_file=FILE",)


def _channels(said: object, source: str) -> tuple[str, ...]:
    listed = [] if said is None else said
    if not isinstance(listed, list) or not all(isinstance(each, str) and _SPEC.fullmatch(each) for each in listed):
        raise InvalidInput(f"{source}: channels must be a list of names or addresses")
    return tuple(each for each in listed if each != "nodefaults")


def _specifier(rest: str, entry: str, source: str) -> str:
    """What stands behind a name in conda's language (CEP 29), as PEP 440 says it; "" for any version."""
    if inner := re.fullmatch(r"\[\s*version\s*=\s*['\"]?([^'\"\]]+)['\"]?\s*\]", rest):
        rest = inner[1].strip()
    if rest in ("", "*", "=*"):
        return ""
    if pin := _PIN.fullmatch(rest):
        rest = f"=={pin['version']}{'' if '.' in pin['version'] else '.*'}"
    try:
        return str(SpecifierSet(re.sub(r"\s+", "", rest)))
    except InvalidSpecifier as error:
        raise InvalidInput(
            f"{source}: cannot read {entry!r}", hint="write it as python=3.12, python>=3.10,<3.13 or pip=25.0"
        ) from error


def _requirements(listed: object, source: str) -> list[str]:
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise InvalidInput(f"{source}: pip must be a list of requirements")
    return [_checked(each.strip(), source) for each in listed if each.strip()]


def _checked(line: str, source: str) -> str:
    """One line as a requirements file may have it: a requirement, or an option, which is for the installer to judge."""
    if "\n" in line or "\r" in line:
        raise InvalidInput(f"{source}: {shown(line)} under pip is more than one line")
    if line.startswith(("-", ".", "/")) or "://" in line:
        return line
    try:
        Requirement(line.partition(" #")[0].partition(" --")[0])
    except InvalidRequirement as error:
        raise InvalidInput(f"{source}: {line!r} under pip is not a requirement: {error}") from error
    return line
