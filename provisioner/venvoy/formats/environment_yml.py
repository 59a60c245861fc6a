"""conda's environment.yml (CEP 24), with what came from the Python index in its pip section."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from ..errors import InvalidInput
from ..model import Package, Snapshot, Wish
from .pylock import is_version

LIMIT = 2_000_000
"""Characters of the longest file that is read; a thousand pinned packages take a twentieth of that."""
_MATCH = re.compile(r"(?:[\w./:-]+::)?(?P<name>[\w.-]+)\s*(?P<rest>(?:[\s=<>!~\[].*)?)", re.DOTALL)
_PIN = re.compile(r"(?:={1,2}\s*)?(?P<version>[0-9][\w.!+-]*?)(?:\.?\*)?(?:\s*=\s*\S+|\s+\S+)?")
_INTERPRETERS = re.compile(
    r"_libgcc_mutex|_openmp_mutex|bzip2|ca-certificates|icu|ld_impl_[\w-]+|ncurses|openssl|python_abi|readline|setuptools"
    r"|lib(?:expat|ffi|gcc(?:-ng)?|gomp|lzma|mpdec|nsl|sqlite|stdcxx(?:-ng)?|uuid|xcrypt|zlib)"
    r"|sqlite|tk|tzdata|wheel|xz|zlib|zstd"
)
"""What `conda env export` lists because conda's Python needs it: a venv's interpreter has its own of these."""
_PLAIN = re.compile(r"(?!(?i:true|false|null|yes|no|on|off|y|n)$)[A-Za-z][\w.-]*", re.ASCII)
_PLAIN_REQUIREMENT = re.compile(r"(?:-e |[A-Za-z0-9][\w.-]*(?:={2,3}| @ ))(?!#)[!-~]+(?<!:)", re.ASCII)


@dataclass(frozen=True, slots=True)
class EnvironmentYml:
    """The record's form: everything pinned, sorted, and nothing of the clock in it."""

    name: str = "yaml"
    filename: str = "environment.yml"

    def dump(self, snapshot: Snapshot) -> str:
        pip = next((each for each in snapshot.packages if _conda_has(each)), None)
        listed = [requirement(each) for each in sorted(snapshot.packages) if each != pip]
        lines = [
            f"name: {_scalar(snapshot.environment, _PLAIN)}",
            "channels:",
            "  - conda-forge",
            "dependencies:",
            f"  - python={snapshot.language_version}",
        ]
        if pip or listed:
            lines.append(f"  - pip={pip.version}" if pip else "  - pip")
        if listed:
            lines += ["  - pip:", *(f"      - {_scalar(each, _PLAIN_REQUIREMENT)}" for each in listed)]
        return "\n".join(lines) + "\n"

    def state(self, wish: Wish, *, source: str) -> Snapshot:
        """What a wish describes that leaves nothing open. Raises InvalidInput with the first thing that it leaves."""
        packages = tuple(_pinned(each, source) for each in wish.requirements if not each.startswith(("--", "-c ")))
        return Snapshot(
            environment=wish.name,
            taken=datetime.now(UTC),
            base="",
            language_version=wish.python,
            platform="",
            packages=tuple(sorted(packages)),
        )

    def load(self, text: str, *, source: str) -> Wish:
        """Read ours, or one written by hand; `source` names the file in errors. Raises InvalidInput.

        What only conda can install is named in the error: a venv cannot take it.
        """
        said = _mapping(text, source)
        dependencies = said.get("dependencies") or []
        if not isinstance(dependencies, list):
            raise InvalidInput(f"{source}: dependencies must be a list")
        python = ""
        requirements: list[str] = []
        conda: list[str] = []
        for entry in dependencies:
            if isinstance(entry, dict) and set(entry) == {"pip"}:
                requirements += _requirements(entry["pip"], source)
            elif not isinstance(entry, str):
                raise InvalidInput(f"{source}: {_short(entry)} in dependencies is neither a package nor a pip list")
            elif (found := _MATCH.fullmatch(entry.strip())) and found["name"].lower() in ("python", "pip"):
                specifier = _specifier(found["rest"].strip(), entry, source)
                if found["name"].lower() == "python":
                    python = specifier.removeprefix("==").removesuffix(".*")
                elif specifier:
                    requirements.append(f"pip{specifier}")
            elif not (found and _INTERPRETERS.fullmatch(found["name"].lower())):
                conda.append(entry)
        if conda:
            raise InvalidInput(
                f"{source}: {', '.join(conda)} can only come from conda",
                hint="a conda environment can take them; a venv takes what stands under 'pip:': move them there if the "
                "Python index has them",
            )
        return Wish(name=_name(said.get("name"), source), python=python, requirements=tuple(requirements))


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
    from ruamel.yaml import YAML  # noqa: PLC0415  # writing needs no YAML library, and launching a kernel neither
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    if len(text) > LIMIT:
        raise InvalidInput(f"{source} is too long for an environment.yml ({len(text)} characters)")
    try:
        said = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise InvalidInput(f"{source}, line {line}: {error.problem or error.context}") from error
    except RecursionError as error:
        raise InvalidInput(f"{source}: nested too deeply") from error
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        # Beside its own errors ruamel.yaml lets through what Python says of an odd number or date.
        raise InvalidInput(f"{source} is not YAML: {_short(str(error))}") from error
    if not isinstance(said, dict):
        raise InvalidInput(f"{source}: not an environment.yml (no keys)")
    return said


def _name(said: object, source: str) -> str:
    if said is None or isinstance(said, str):
        return said or ""
    raise InvalidInput(f"{source}: name must be a string (in quotes), not {_short(said)}")


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
        raise InvalidInput(f"{source}: {_short(line)} under pip is more than one line")
    if line.startswith(("-", ".", "/")) or "://" in line:
        return line
    try:
        Requirement(line.partition(" #")[0].partition(" --")[0])
    except InvalidRequirement as error:
        raise InvalidInput(f"{source}: {line!r} under pip is not a requirement: {error}") from error
    return line


def _short(said: object) -> str:
    """What somebody wrote, for an error; the items of lists and mappings, which may be endless, are left out."""
    return repr(said)[:100] if isinstance(said, str | int | float | None) else "a list or a mapping"
