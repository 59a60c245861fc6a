"""The names of images as registries know them, and why one cannot be had."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from ..containers import whole
from ..errors import CommandFailed, InvalidInput
from ..settings import variables

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:(?:localhost|{_LABEL}(?:\.{_LABEL})+|\[[0-9a-f]*:[0-9a-f:]*\])(?::\d{{1,5}})?|{_LABEL}:\d{{1,5}})"
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
REFERENCE = re.compile(
    rf"(?P<name>(?:{_HOST}/)?{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?P<digest>@sha256:[0-9a-f]{{64}})?",
    re.ASCII,
)
"""As the engines have it (github.com/distribution/reference)."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST = 255
"""Characters of a name without its tag."""
_WHOLE = _LONGEST + 1 + 128 + len("@sha256:") + 64


def full(wanted: str) -> str:
    """The name by which any engine fetches an image: with its registry, and either a digest or a tag.

    Raises InvalidInput for what is no name of an image.
    """
    found = REFERENCE.fullmatch(wanted) if len(wanted) <= _WHOLE else None
    if not found or len(found["name"]) > _LONGEST:
        raise InvalidInput(f"{wanted!r} is neither a file nor the name of an image", hint=_meant(wanted))
    return whole(found["name"]) + (found["digest"] or f":{found['tag'] or 'latest'}")


def repository(name: str) -> str:
    """The name without its tag or digest."""
    found = REFERENCE.fullmatch(name)
    return found["name"] if found else name


def registered_now(runtime: str, name: str) -> str:
    """A full name with the digest of what its registry has below its tag now, "" where that does not say.

    Asked as the user of Apptainer or Singularity who is logged in; Docker and Podman say it themselves.
    """
    from .. import manifests  # noqa: PLC0415  # an HTTP client, which nobody needs who asks for no image

    host, _, rest = name.partition("/")
    path, _, tag = rest.rpartition(":")
    said, program = variables(), runtime.upper()
    folder = Path(said.get(f"{program}_CONFIGDIR") or Path(said.get("HOME", "~")).expanduser() / f".{runtime}")
    kept = (_login_in(folder / file, host) for file in ("docker-config.json", "config.json"))  # by their version
    login = next((each for each in kept if each), None)
    digest = manifests.digest(host, path, tag, login=login, tls=f"{program}_NOHTTPS" not in said)
    return f"{host}/{path}@{digest}" if digest else ""


def _login_in(file: Path, host: str) -> tuple[str, str] | None:
    """Who logged in there, as `registry login` keeps it; None where nobody did, or a program keeps it."""
    try:
        kept = json.loads(file.read_text("utf-8"))["auths"]
        auth = next(each["auth"] for key, each in kept.items() if host in (key, urlsplit(key).hostname))
        user, colon, password = base64.b64decode(auth).decode().partition(":")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None
    return (user, password) if colon else None


def registry(name: str) -> str:
    """The host of a full name."""
    return name.partition("/")[0]


def _meant(wanted: str) -> str:
    scheme, _, rest = wanted.partition("://")
    if rest and REFERENCE.fullmatch(rest):
        return f"leave {scheme}:// away: --image {rest}"
    if REFERENCE.fullmatch(wanted.lower()):
        return f"names of images have no capitals: --image {wanted.lower()}"
    return "write it as python:3.12-slim or registry.example.org/group/image:tag"


def cannot_be_had(error: CommandFailed, name: str, runtime: str) -> CommandFailed:
    """The engine's error as one sentence, the command that mends it, and its last words."""
    said = _last(error.hint)
    for pattern, reason, mend in _REASONS:
        if re.search(pattern, said, re.IGNORECASE):
            return CommandFailed(
                f"the image {name} cannot be had: {reason.format(host=registry(name))}",
                hint=f"{mend(runtime, name)}\n{said}",
                code=error.code,
            )
    return CommandFailed(f"the image {name} cannot be had", hint=error.hint or error.message, code=error.code)


def _last(hint: str) -> str:
    """The engine's last sentence: its error, and not what it was about before."""
    lines = [line.strip() for line in hint.splitlines() if line.strip()]
    told = [line for line in lines if re.match(r"(?i)(error|fatal|time=.*level=(error|fatal))", line)]
    return (told or lines or [""])[-1]


def _login(runtime: str, name: str) -> str:
    host = registry(name)
    if runtime in ("docker", "podman"):
        return f"log in: {runtime} login {'' if host == 'docker.io' and runtime == 'docker' else host}".rstrip()
    return f"log in: {runtime} registry login --username YOU docker://{host}"


def _check_name(runtime: str, name: str) -> str:
    return f"look whether it is written so; a private one needs a login, too ({_login(runtime, name)})"


def _trust(runtime: str, name: str) -> str:
    host = registry(name)
    folder = {"docker": "/etc/docker/certs.d", "podman": "/etc/containers/certs.d"}.get(runtime)
    if folder:
        return f"put its authority's certificate into {Path(folder, host, 'ca.crt')}"
    return (
        "add its authority to those of this machine (Debian: /usr/local/share/ca-certificates, update-ca-certificates)"
    )


def _speak_plainly(runtime: str, name: str) -> str:
    host = registry(name)
    if runtime == "docker":
        return f'if that is meant so: "insecure-registries": ["{host}"] in /etc/docker/daemon.json'
    if runtime == "podman":
        return f'if that is meant so, in registries.conf: [[registry]] location = "{host}" insecure = true'
    return f"if that is meant so: {runtime.upper()}_NOHTTPS=1 venvoy init …"


def _make_room(runtime: str, _name: str) -> str:
    own = f"; {runtime} system df" if runtime in ("docker", "podman") else f"; {runtime} cache clean"
    return f"make room: venvoy prune --images{own}"


def _from_file(_runtime: str, name: str) -> str:
    save = f"docker save -o image.tar {name}"
    return f"bring it as a file from a machine that has it ({save}), and add to your command: --image image.tar"


_Mend = Callable[[str, str], str]
_REASONS: tuple[tuple[str, str, _Mend], ...] = (
    (r"no space left|disk quota exceeded", "there is no room left on the disk", _make_room),
    (r"toomanyrequests|rate limit|429 too many", "{host} gives no more to who is not logged in, for now", _login),
    (r"gave HTTP response to HTTPS", "{host} speaks no TLS", _speak_plainly),
    (r"x509|certificate|tls:", "{host} cannot prove who it is (TLS)", _trust),
    (r"no matching manifest|no image found in (manifest list|image index)|no child with platform",
     "there is none for this kind of machine", lambda *_: "take another tag, one for this machine's architecture"),
    (r"pull access denied|requested access to the resource is denied|denied: |DENIED|repository does not exist",
     "there is none of that name, or you may not have it", _check_name),
    (r"unauthorized|authentication required|no basic auth|incorrect username|\b401\b|\b403\b|forbidden",
     "{host} wants a login, or another one", _login),
    (r"manifest[ _]unknown|name[ _]unknown|not found|\b404\b", "{host} has none of that name", _check_name),
    (r"no such host|could not parse reference|lookup .*:|connection (refused|reset)|unreachable|no route to host",
     "{host} cannot be reached", _from_file),
    (r"timeout|timed out|deadline exceeded|dial tcp|EOF|does not answer", "{host} cannot be reached", _from_file),
)  # fmt: skip
"""What engines say, in which words we say it, and what mends it; the first that fits counts."""
