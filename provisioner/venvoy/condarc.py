"""What conda's and mamba's own configuration says; read only, merged as conda merges it, and nothing is executed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from .errors import InvalidInput

LARGEST = 200_000
"""Bytes of the largest file that is read; a long configuration has a hundredth of that."""
_NAMES = (".condarc", "condarc", "condarc.d", ".mambarc")
SYSTEM = tuple(Path(folder, name) for folder in ("/etc/conda", "/var/lib/conda") for name in _NAMES)
DEFAULT_CHANNELS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")

_Kind = Literal["text", "list", "map", "map of lists"]
_KINDS: Mapping[str, _Kind] = {
    "channel_alias": "text",
    "channel_priority": "text",
    "offline": "text",
    "ssl_verify": "text",
    "channels": "list",
    "default_channels": "list",
    "pinned_packages": "list",
    "custom_channels": "map",
    "proxy_servers": "map",
    "custom_multichannels": "map of lists",
    "mirrored_channels": "map of lists",
}
_ALIASES = {"channels": "channel", "ssl_verify": "verify_ssl"}
PINNED = Path("conda-meta/pinned")
"""Where a prefix has its own pins."""
_OF_MAMBA = ("channel_alias", "channel_priority", "default_channels", "offline", "pinned_packages", "ssl_verify")
"""The keys that mamba reads from variables of its own as well."""
_TRUE = ("true", "yes", "on", "y", "1")
_FALSE = ("false", "no", "off", "n", "0")
_SUBDIRS = (
    "noarch", "linux-32", "linux-64", "linux-aarch64", "linux-armv6l", "linux-armv7l", "linux-ppc64", "linux-ppc64le",
    "linux-riscv64", "linux-s390x", "osx-64", "osx-arm64", "win-32", "win-64", "win-arm64", "emscripten-wasm32",
    "wasi-wasm32", "freebsd-64", "zos-z",
)  # fmt: skip

_MARK = re.compile(r"#\s*!(final|top|bottom)\s*")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{([^}]*)\})", re.ASCII)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PATH = re.compile(r"/|\.\.?(?:/|$)")
_SUBDIR = re.compile(rf"(?:/+(?:{'|'.join(_SUBDIRS)}))?/*$", re.IGNORECASE)
_BRACKET = re.compile(r"/*\[[\w\s,='\"-]*\]$", re.ASCII)
_USER = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/?#]*@", re.IGNORECASE)
_TOKEN = re.compile(r"/t/[^/?#]*")


# repr would show credentials: the channels, the mirrors and the proxies may carry some.
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CondaConfig:
    """What the user and the administrator told conda and mamba; credentials are in it as they are configured.

    `channels` are names or addresses; conda-forge where nobody configured any. `default_channels` is what "defaults"
    stands for. `custom_channels` maps a name to the location that the name is appended to. `mirrors` maps the public
    address of a channel to the addresses that it is fetched from instead, in order (mamba's `mirrored_channels`).

    `channel_priority` "flexible" is conda's third way, which rattler does not have: the embedded engine takes it for
    "strict", which differs only where a package of the first channel that has it does not fit and another's would.

    `ssl_verify` as a string is the path of certificates, or "truststore" for those of the system. `pinned` are
    match specs that every solution must fit, those of the environment's own `conda-meta/pinned` among them.
    """

    channels: tuple[str, ...] = ("conda-forge",)
    channel_alias: str = "https://conda.anaconda.org"
    default_channels: tuple[str, ...] = DEFAULT_CHANNELS
    custom_channels: Mapping[str, str] = field(default_factory=dict)
    custom_multichannels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    channel_priority: Literal["strict", "flexible", "disabled"] = "strict"
    offline: bool = False
    ssl_verify: bool | str = True
    proxies: Mapping[str, str] = field(default_factory=dict)
    pinned: tuple[str, ...] = ()


def conda_config(
    environ: Mapping[str, str] = os.environ, *, prefix: Path | None = None, system: Sequence[Path] = SYSTEM
) -> CondaConfig:
    """Read every file of conda's search path and the variables above them, for the environment in `prefix`.

    The order and the merging are those of https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/
    (search path, `#!final`, `#!top`, `#!bottom`); mamba's files and variables stand right above conda's of the same
    place. Raises InvalidInput, with the file and the key but never a value, for what cannot be understood.
    """
    said = _said(environ, prefix=prefix, system=system)
    config = CondaConfig(
        channels=_lines(said, "channels") or ("conda-forge",),
        channel_alias=_alias(said),
        default_channels=_lines(said, "default_channels") or DEFAULT_CHANNELS,
        custom_channels={name: _location(each, "custom_channels") for name, each in _map(said, "custom_channels")},
        custom_multichannels={name: each.value for name, each in _map(said, "custom_multichannels")},
        channel_priority=_priority(said),
        offline=_offline(said),
        ssl_verify=_ssl_verify(said),
        proxies={name: each.value for name, each in _map(said, "proxy_servers")},
        pinned=(*_lines(said, "pinned_packages"), *(_pinned_in(prefix) if prefix else ())),
    )
    return replace(
        config, mirrors=dict(_mirrored(config, each, name) for name, each in _map(said, "mirrored_channels"))
    )


def addresses(config: CondaConfig, channels: Iterable[str]) -> tuple[str, ...]:
    """The full addresses of channels, in order, each once, without a slash at the end or a platform.

    Takes what conda takes: names, "defaults" and other multichannels, names with labels, addresses, paths, and each of
    these with `/linux-64` or `[linux-64]` behind it; "nodefaults" is no channel. What is configured with credentials
    keeps them here: `public` takes them away. Raises InvalidInput for what is no channel.
    """
    found: dict[str, str] = {}
    named = _named(config)
    for channel in channels:
        for each in _meant(config, channel):
            address = _address(config, each, named)
            found.setdefault(public(address), address)
    return tuple(found.values())


def public(address: str) -> str:
    """The address of a channel or of a file in it without `user:password@` and `/t/TOKEN/`."""
    bare = _USER.sub(r"\1", address, count=1).rstrip("/")
    return bare if bare.lower().startswith("file:") else _TOKEN.sub("", bare, count=1)


def private_addresses(config: CondaConfig) -> Mapping[str, str]:
    """From public addresses to the same with credentials, for those channels and mirrors that are configured with some.

    An alias with credentials is in it too: they hold for every address below it.
    """
    multiple = (each for channels in config.custom_multichannels.values() for each in channels)
    names = (*config.channels, *config.default_channels, *multiple, *config.custom_channels)
    mirrors = (each for addresses in config.mirrors.values() for each in addresses)
    every = (config.channel_alias, *addresses(config, names), *mirrors)
    return {public(each): each for each in every if public(each) != each}


# --- what is said where ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Said:
    """A text, or a tuple or a mapping of these, with its marker ("final", "top", "bottom" or "") and where it stands.

    After merging a list holds plain texts.
    """

    value: Any
    mark: str
    source: str


def _said(environ: Mapping[str, str], *, prefix: Path | None, system: Sequence[Path]) -> Mapping[str, _Said]:
    home = Path(environ.get("HOME") or Path.home())
    places = dict.fromkeys(_places(environ, home=home, prefix=prefix, system=system))
    files = dict.fromkeys(file for place in places for file in _files(place))
    sources = [_in_file(_Reader(environ=environ, home=home, source=str(file)), file) for file in files]
    sources += [_in_variables(_Reader(environ=environ, home=home), program) for program in ("CONDA", "MAMBA")]
    return {
        key: _merged([source[key] for source in sources if key in source])
        for key in _KINDS
        if any(key in source for source in sources)
    }


def _places(environ: Mapping[str, str], *, home: Path, prefix: Path | None, system: Sequence[Path]) -> Iterator[Path]:
    """Where configuration may lie, the lowest priority first."""
    yield from system
    folders = [*_roots(environ), home / ".config/conda", home / ".conda"]
    if xdg := environ.get("XDG_CONFIG_HOME"):
        folders.insert(-2, Path(xdg, "conda"))
    yield from (folder / name for folder in folders for name in _NAMES)
    yield from (home / ".condarc", home / ".mambarc")
    if prefix is not None:
        yield from (prefix / name for name in _NAMES)
    for variable in ("CONDARC", "MAMBARC"):
        if said := environ.get(variable):
            yield home / said[2:] if said.startswith("~/") else Path(said)


def _roots(environ: Mapping[str, str]) -> Iterator[Path]:
    """The installations of conda and mamba. conda itself knows its own without a variable."""
    program = Path(environ.get("CONDA_EXE", ""))
    if root := environ.get("CONDA_ROOT"):
        yield Path(root)
    elif program.parent.name in ("bin", "condabin"):
        yield program.parent.parent
    if root := environ.get("MAMBA_ROOT_PREFIX"):
        yield Path(root)


def _files(place: Path) -> Iterator[Path]:
    """The file, or those of the folder; as with conda one of another name is none."""
    named = place.name in (".condarc", "condarc", ".mambarc", "mambarc") or place.suffix in (".yml", ".yaml")
    if named and os.path.isfile(place):  # noqa: PTH113  # Path's raises where the folder may not be entered
        yield place
    elif os.path.isdir(place):  # noqa: PTH112
        try:
            listed = sorted(os.listdir(place))
        except OSError as error:
            raise InvalidInput(f"cannot read {place}: {error.strerror}") from error
        yield from (
            place / name for name in listed if Path(name).suffix in (".yml", ".yaml") and (place / name).is_file()
        )


def _in_file(reader: _Reader, file: Path) -> Mapping[str, _Said]:
    loaded = _loaded(file)
    found = {}
    for key in _KINDS:
        written = key if loaded.get(key) is not None else _ALIASES.get(key, key)
        if loaded.get(written) is not None:
            found[key] = reader.read(loaded[written], mark=_mark(loaded, written, 2), key=key)
    return found


def _in_variables(reader: _Reader, program: str) -> Mapping[str, _Said]:
    found = {}
    for key, kind in _KINDS.items():
        name = f"{program}_{key.upper()}"
        said = reader.environ.get(name, "").strip()
        if not said or kind not in ("text", "list") or (program == "MAMBA" and key not in _OF_MAMBA):
            continue
        parts = [part.strip() for part in said.split("&" if name == "CONDA_PINNED_PACKAGES" else ",")]
        value = said if kind == "text" else [part for part in parts if part]
        found[key] = replace(reader, source=name).read(value, key=key)
    return found


def _loaded(file: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML  # noqa: PLC0415  # most commands never look at conda
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        if (size := file.stat().st_size) > LARGEST:
            raise InvalidInput(f"{file} has {size} bytes: that is no configuration")
        loaded = YAML(typ="rt", pure=True).load(file.read_text("utf-8-sig"))
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    except MarkedYAMLError as error:
        # What ruamel.yaml says quotes the line, and in that may be a password.
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidInput(f"{file}{line}: not YAML") from None
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
        # Beside its own errors ruamel.yaml lets through what Python says of an odd number or date.
        raise InvalidInput(f"{file}: not YAML") from None
    if not isinstance(loaded, dict | None):
        raise InvalidInput(f"{file} must be a mapping")
    return loaded or {}


def _mark(container: Any, key: object, place: int) -> str:
    """The marker in the comment at the end of a line, which ruamel.yaml keeps in `place`: 2 in maps, 0 in lists."""
    comments = getattr(container, "ca", None)
    kept = comments.items.get(key) if comments else None
    token = kept[place] if kept and len(kept) > place else None
    first, *_ = getattr(token, "value", "").splitlines() or [""]
    found = _MARK.fullmatch(first)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Turns what one source has for a key into what it should be; errors name the source and the key."""

    environ: Mapping[str, str]
    home: Path
    source: str = ""

    def read(self, value: Any, *, key: str, mark: str = "") -> _Said:
        match _KINDS[key]:
            case "text":
                return self._text(value, key, mark)
            case "list":
                return self._list(value, key, mark)
            case "map":
                return self._map(value, key, mark, lists=False)
            case "map of lists":
                return self._map(value, key, mark, lists=True)

    def _text(self, value: Any, key: str, mark: str) -> _Said:
        if not isinstance(value, str | int):
            raise self._wrong(key, "one word")
        said = str(value) if isinstance(value, str) else str(bool(value)).lower()
        return _Said(self._expanded(said.strip()), mark, self.source)

    def _list(self, value: Any, key: str, mark: str) -> _Said:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self._wrong(key, "a list of strings")
        lines = [_Said(self._expanded(each), _mark(value, n, 0), self.source) for n, each in enumerate(value)]
        return _Said(tuple(each for each in lines if each.value), mark, self.source)

    def _map(self, value: Any, key: str, mark: str, *, lists: bool) -> _Said:
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise self._wrong(key, "a mapping")
        kept = {name: each for name, each in value.items() if each is not None}
        if not lists and not all(isinstance(each, str) for each in kept.values()):
            raise self._wrong(key, "a mapping of names to strings")
        read = self._list if lists else self._text
        return _Said({name: read(each, key, _mark(value, name, 2)) for name, each in kept.items()}, mark, self.source)

    def _expanded(self, text: str) -> str:
        """With the variables that there are, and the user's home for ~."""
        said = _VARIABLE.sub(lambda found: self.environ.get(found[1] or found[2], found[0]), text).strip()
        return str(self.home / said[2:]) if said.startswith("~/") else said

    def _wrong(self, key: str, wanted: str) -> InvalidInput:
        return InvalidInput(f"{self.source}: {key} must be {wanted}")


def _merged(said: Sequence[_Said]) -> _Said:
    """One of many, the lowest priority first; what is marked final ends the list of those that count."""
    final = next((number for number, each in enumerate(said) if each.mark == "final"), len(said) - 1)
    counted = said[: final + 1]
    highest = counted[-1]
    if isinstance(highest.value, str):
        return highest
    if isinstance(highest.value, tuple):
        return replace(highest, value=_in_one_list(counted))
    names = dict.fromkeys(name for each in counted for name in each.value)
    value = {name: _merged([each.value[name] for each in counted if name in each.value]) for name in names}
    return replace(highest, value=value)


def _in_one_list(said: Sequence[_Said]) -> tuple[str, ...]:
    """Higher priority first, but of the lines at the top and at the bottom the lower priority is outermost."""
    top = [line.value for each in said for line in each.value if line.mark == "top"]
    downwards = [line for each in reversed(said) for line in each.value]
    bottom = [line.value for line in downwards if line.mark == "bottom"]
    above = dict.fromkeys([*top, *(line.value for line in downwards)])
    return tuple(reversed(dict.fromkeys([*reversed(bottom), *reversed(above)])))


# --- what it means ---------------------------------------------------------------------------------------------------


def _lines(said: Mapping[str, _Said], key: str) -> tuple[str, ...]:
    return said[key].value if key in said else ()


def _map(said: Mapping[str, _Said], key: str) -> Iterable[tuple[str, _Said]]:
    return said[key].value.items() if key in said else ()


def _text(said: Mapping[str, _Said], key: str) -> str:
    return said[key].value if key in said else ""


def _alias(said: Mapping[str, _Said]) -> str:
    return (
        _location(said["channel_alias"], "channel_alias")
        if _text(said, "channel_alias")
        else CondaConfig().channel_alias
    )


def _location(said: _Said, key: str) -> str:
    if _PATH.match(said.value):
        return _absolute(said.value).as_uri()
    if not _SCHEME.match(said.value):
        raise InvalidInput(f"{said.source}: {key} must give addresses", hint="write it with https:// or file://")
    return str(said.value).rstrip("/")


def _priority(said: Mapping[str, _Said]) -> Literal["strict", "flexible", "disabled"]:
    match _text(said, "channel_priority").lower():
        case "" | "strict":
            return "strict"
        case "flexible":
            return "flexible"
        case "disabled":
            return "disabled"
        case word if word in (*_TRUE, *_FALSE):  # as conda had it before it knew three ways
            return "flexible" if word in _TRUE else "disabled"
    raise InvalidInput(f"{said['channel_priority'].source}: channel_priority must be strict, flexible or disabled")


def _offline(said: Mapping[str, _Said]) -> bool:
    word = _text(said, "offline").lower()
    if word not in ("", *_TRUE, *_FALSE):
        raise InvalidInput(f"{said['offline'].source}: offline must be true or false")
    return word in _TRUE


def _ssl_verify(said: Mapping[str, _Said]) -> bool | str:
    word = _text(said, "ssl_verify")
    # Those in angle brackets are mamba's.
    known: Mapping[str, bool | str] = {"truststore": "truststore", "<system>": "truststore", "<false>": False}
    if word in known:
        return known[word]
    if word.lower() in ("", *_TRUE, *_FALSE):
        return word.lower() not in _FALSE
    if not os.access(word, os.F_OK):
        raise InvalidInput(
            f"{said['ssl_verify'].source}: ssl_verify must be true, false, truststore or a file of certificates",
            hint="if it names a file: that is not there",
        )
    return str(_absolute(word))


def _pinned_in(prefix: Path) -> Iterator[str]:
    """What the environment's own file of pins has, a match spec on each line and remarks behind `#`."""
    file = prefix / PINNED
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {file}: {error}") from error
    yield from (spec for each in lines if (spec := each.partition("#")[0].strip()))


def _absolute(said: str) -> Path:
    return Path(os.path.normpath(Path(said).absolute()))


def _mirrored(config: CondaConfig, said: _Said, name: str) -> tuple[str, tuple[str, ...]]:
    meant = addresses(config, (name,))
    if len(meant) != 1:
        raise InvalidInput(f"{said.source}: mirrored_channels must name single channels")
    return public(meant[0]), addresses(config, said.value)


# --- channels --------------------------------------------------------------------------------------------------------


def _meant(config: CondaConfig, channel: str) -> tuple[str, ...]:
    """The channels that one word stands for; those of a multichannel are none themselves."""
    name = _without_subdir(channel)
    if name == "nodefaults":
        return ()
    if name == "defaults":
        return config.default_channels
    return config.custom_multichannels.get(name, (name,))


def _without_subdir(channel: str) -> str:
    return _SUBDIR.sub("", _BRACKET.sub("", channel.strip()), count=1)


def _address(config: CondaConfig, channel: str, named: Mapping[str, str]) -> str:
    name = _without_subdir(channel)
    if _PATH.match(name):
        return _absolute(name).as_uri()
    if not name or name == "local" or name.startswith("~") or re.search(r"[\s\x00-\x1f]", name):
        shown = "an address" if re.search("://|@|/t/", channel) else repr(channel)
        raise InvalidInput(f"{shown} is no channel", hint="give its name, its address or its whole path")
    if not _SCHEME.match(name):
        base = next((named[stem] for stem in _stems(name) if stem in named), config.channel_alias)
        name = f"{base.rstrip('/')}/{name.strip('/')}"
    try:
        _ = urlsplit(name).port
    except ValueError:
        raise InvalidInput(
            "a channel's address cannot be read", hint="in a user's name or password write / as %2F and @ as %40"
        ) from None
    return name


def _named(config: CondaConfig) -> Mapping[str, str]:
    """From the names that are not below the alias to the location that the name is appended to."""
    listed = (*config.default_channels, *(each for many in config.custom_multichannels.values() for each in many))
    alias = f"{public(config.channel_alias)}/"
    found = {}
    for address in map(_without_subdir, listed):
        name = public(address).partition("://")[2].partition("/")[2]
        below = public(address).startswith((alias, "file:"))
        if name and _SCHEME.match(address) and not below:
            found[name] = address.removesuffix(f"/{name}")
    return {**found, **{name.strip("/"): location for name, location in config.custom_channels.items()}}


def _stems(name: str) -> Iterator[str]:
    """The name, and the name without its last parts: a label belongs to the channel before it."""
    parts = name.strip("/").split("/")
    yield from ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
