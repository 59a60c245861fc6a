"""conda's environment.yml (CEP 24), with what came from the Python index in its pip section."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from ..errors import InvalidInput
from ..model import Package, Snapshot

_PYTHON = re.compile(r"python\s*(?:={1,2}\s*)?([0-9][0-9.]*)?(?:\.\*)?")
_PIP = re.compile(r"pip(?:\s*={1,2}\s*([0-9][\w.]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a file asks for: a Python version ("" for any), and requirements as pip writes them."""

    name: str = ""
    python: str = ""
    pip: str = ""
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvironmentYml:
    """The record's form: everything pinned, sorted, and nothing of the clock in it."""

    name: str = "yaml"
    filename: str = "environment.yml"

    def dump(self, snapshot: Snapshot) -> str:
        pip = snapshot.package("pip")
        listed = [_requirement(each) for each in sorted(snapshot.packages) if each.name != "pip"]
        lines = [
            f"name: {snapshot.environment}",
            "channels:",
            "  - conda-forge",
            "dependencies:",
            f"  - python={snapshot.language_version}",
        ]
        if pip or listed:
            lines.append(f"  - pip={pip.version}" if pip else "  - pip")
        if listed:
            lines += ["  - pip:", *(f"      - {requirement}" for requirement in listed)]
        return "\n".join(lines) + "\n"

    def load(self, text: str, *, source: str) -> Wish:
        """Read ours, or one written by hand; `source` names the file in errors. Raises InvalidInput.

        What only conda can install is named in the error: a venv cannot take it.
        """
        said = _mapping(text, source)
        dependencies = said.get("dependencies") or []
        if not isinstance(dependencies, list):
            raise InvalidInput(f"{source}: dependencies must be a list")
        python = pip = ""
        requirements: list[str] = []
        conda: list[str] = []
        for entry in dependencies:
            if isinstance(entry, dict) and set(entry) == {"pip"}:
                requirements += _requirements(entry["pip"], source)
            elif not isinstance(entry, str):
                raise InvalidInput(f"{source}: {entry!r} in dependencies is neither a package nor a pip list")
            elif found := _PYTHON.fullmatch(entry.strip()):
                python = found[1] or ""
            elif found := _PIP.fullmatch(entry.strip()):
                pip = found[1] or ""
            else:
                conda.append(entry)
        if conda:
            raise InvalidInput(
                f"{source}: {', '.join(conda)} can only come from conda",
                hint="a venv takes what stands under 'pip:'; move them there if the Python index has them",
            )
        return Wish(name=str(said.get("name") or ""), python=python, pip=pip, requirements=tuple(requirements))


def _requirement(package: Package) -> str:
    if package.origin == "editable":
        return f"-e {package.url}"
    if package.origin == "index":
        return f"{package.name}=={package.version}"
    return f"{package.name} @ {package.url}"


def _mapping(text: str, source: str) -> Mapping[str, Any]:
    from ruamel.yaml import YAML  # noqa: PLC0415  # writing needs no YAML library, and launching a kernel neither
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        said = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise InvalidInput(f"{source}, line {line}: {error.problem or error.context}") from error
    except YAMLError as error:
        raise InvalidInput(f"{source}: {error}") from error
    if not isinstance(said, dict):
        raise InvalidInput(f"{source}: not an environment.yml (no keys)")
    return said


def _requirements(listed: object, source: str) -> list[str]:
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise InvalidInput(f"{source}: pip must be a list of requirements")
    for each in listed:
        if each.startswith("-"):
            continue
        try:
            Requirement(each)
        except InvalidRequirement as error:
            raise InvalidInput(f"{source}: {each!r} under pip is not a requirement: {error}") from error
    return listed
