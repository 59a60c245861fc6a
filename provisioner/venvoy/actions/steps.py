"""What the steps of an image's build are told of the caller's variables, and what they must not be told."""

from __future__ import annotations

import re

from ..errors import InvalidInput
from ..runtimes.oci import FOR_STEPS
from ..settings import variables

_USER = re.compile(r"://[^/\s]*@")
_DECLARED = re.compile(r"^[ \t]*ARG[ \t]+(.+)$", re.MULTILINE | re.IGNORECASE)


def handed_on() -> dict[str, str]:
    """Those that steps get. Docker and Podman look for them by themselves."""
    return {name: value for name, value in variables().items() if name in FOR_STEPS}


def refuse_secrets(recipe: str) -> None:
    """Raise InvalidInput where a Dockerfile asks for a variable with a password in it: its image would keep that."""
    declared = {word.partition("=")[0] for line in _DECLARED.findall(recipe) for word in line.split()}
    for name, value in handed_on().items():
        if name in declared and _USER.search(value):
            raise InvalidInput(
                f"the address in {name} names a user, and whoever has the image could read it in its history",
                hint=f"give an address that needs none: {name}=https://… ; or build a SIF, whose steps leave nothing: "
                "--runtime apptainer",
            )
