"""Read files of variables (.env) for kernels and runs; their values are handed on and kept nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dotenv.main import DotEnv

from ..errors import InvalidInput


def variables_from(files: Iterable[Path]) -> dict[str, str]:
    """The variables of all files, a later one winning. Raises InvalidInput, naming file and line but never a value."""
    found: dict[str, str] = {}
    for file in files:
        found |= _read(file)
    return found


def _read(file: Path) -> dict[str, str]:
    try:
        with file.open(encoding="utf-8") as stream:
            parsed = DotEnv(dotenv_path=None, stream=stream, interpolate=True, override=False)
            bindings = parsed.dict()
    except FileNotFoundError:
        raise InvalidInput(
            f"there is no {file}", hint="name another --env-file, or mend env_file in config.yaml"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {file}: {type(error).__name__}") from error
    return {name: value for name, value in bindings.items() if value is not None}
