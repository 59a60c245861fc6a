"""An image as one file that every runtime loads: read in the forms in which they save it, checked, written in one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, cast

import zstandard

from .. import files
from ..errors import InvalidInput
from ..model import OnProgress, Progress
from ..tars import Header

_KIND = "application/vnd.oci.image."
_BLOCK = 1 << 20
_LARGEST = 20_000_000
"""Bytes of a manifest or a configuration; real ones have a thousandth of that."""
_MOST = 10_000
"""Files of an image as it is saved: its layers, and a few lists."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BROKEN = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, tarfile.TarError, zlib.error,
           zstandard.ZstdError)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """What is in the file: `digest` is that of the configuration, by which Docker and Podman call the image."""

    file: Path
    digest: str
    architecture: str
    names: tuple[str, ...] = ()


def write(
    source: Path,
    target: Path,
    *,
    name: str | None = "",
    settings: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
) -> ImageFile:
    """Write an image in the one form: an OCI layout that is a docker-archive as well, with nothing compressed.

    `source` is what `docker save` or `podman save` wrote, an OCI layout (a folder, or a tar of it), or a tar of a root
    file system. Every layer is checked against the configuration, the configuration against its name; the same image
    gives the same bytes whoever saved it. `name` is the image's in the file, "" for those that it has, None for none:
    loading it moves no name then. `settings` are what a root file system alone does not say (`Env`, `Cmd`, …).
    Raises InvalidInput for what is no image.
    """
    try:
        with ExitStack() as stack:
            found = _opened(source, stack, settings)
            return _written(found, target, name, on_progress)
    except _BROKEN as error:
        raise InvalidInput(f"{source} is no image: {_first(error)}") from error


def digest(source: Path) -> str:
    """The digest of an image as `write` takes it, by which Docker and Podman call it. Raises InvalidInput."""
    try:
        with ExitStack() as stack:
            return f"sha256:{_name(_opened(source, stack).config)}"
    except _BROKEN as error:
        raise InvalidInput(f"{source} is no image: {error}") from error


@contextmanager
def reading(file: Path) -> Iterator[Reading]:
    """The image of a file that `write` wrote without a name, after every byte of it was found to be so.

    What is in it is not believed: no layer is another than its digest, none is compressed, nothing is there twice or
    beside the one image. Raises InvalidInput for anything else.
    """
    with ExitStack() as stack:
        try:
            image = _checked(file, stack)
        except _BROKEN as error:
            raise InvalidInput(f"its image is none: {_first(error)}") from error
        yield Reading(said=_said(image, file, ()), config=json.loads(image.config), layers=image.in_order())


def _first(error: Exception) -> str:
    """What it says, in one line: tarfile lists every compression that it has tried."""
    return str(error).partition("\n")[0].rstrip(":")


def _checked(file: Path, stack: ExitStack) -> _Image:
    archive = stack.enter_context(tarfile.open(file, "r:", tarinfo=_Plain))  # noqa: SIM115  # the stack does
    image = _of_docker(_placed(archive, most=_MOST))
    for each in image.layers.values():
        _refuse_packed(each)
    same = _Digest()
    _lay(image, same, [], None)
    with file.open("rb") as stream:
        if _digest(stream) != same.hexdigest():
            raise ValueError("there is more or less in it than one image")
    return image


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An image that was checked: its configuration, and its layers, the lowest first, each a plain tar."""

    said: ImageFile
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]


class Layer(Protocol):
    """Where a layer can be read."""

    def open(self) -> IO[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Image:
    """An image that is being read: its configuration, and where the layers are, by the digest of what is unpacked."""

    config: bytes
    layers: Mapping[str, _Blob]
    order: tuple[str, ...]
    names: tuple[str, ...] = ()

    def in_order(self) -> tuple[_Blob, ...]:
        return tuple(self.layers[each] for each in self.order)


_Blob = Layer


class _Plain(tarfile.TarInfo):
    """A header such as `write` writes: others may ask for any amount of memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Plain:
        found = super().frombuf(buf, encoding, errors)
        if found.type not in (tarfile.REGTYPE, tarfile.DIRTYPE):
            raise ValueError(f"{found.name!r} is neither a file nor a folder")
        return found


class _Digest:
    """What is written is added up and forgotten."""

    def __init__(self) -> None:
        self._hashed, self._at = hashlib.sha256(), 0

    def write(self, block: bytes) -> int:
        self._hashed.update(block)
        self._at += len(block)
        return len(block)

    def tell(self) -> int:
        return self._at

    def hexdigest(self) -> str:
        return self._hashed.hexdigest()


@dataclass(frozen=True, slots=True)
class _Member:
    """A file in a tar."""

    archive: tarfile.TarFile
    entry: tarfile.TarInfo

    def open(self) -> IO[bytes]:
        stream = self.archive.extractfile(self.entry)
        if stream is None:
            raise ValueError(f"{self.entry.name} is no file")
        return stream


@dataclass(frozen=True, slots=True)
class _File:
    path: Path

    def open(self) -> IO[bytes]:
        return self.path.open("rb")


class _Place(Protocol):
    """Where an image lies: a tar, or a folder."""

    def blob(self, name: str) -> _Blob: ...

    def has(self, name: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Tar:
    archive: tarfile.TarFile
    entries: dict[str, tarfile.TarInfo] = field(default_factory=dict)

    def blob(self, name: str) -> _Blob:
        entry = self.entries[str(PurePosixPath(name))]
        for _ in range(8):  # `docker save` writes a layer that two images have once, and a link to it
            if not entry.issym():
                return _Member(self.archive, entry)
            entry = self.entries[os.path.normpath(PurePosixPath(entry.name).parent / entry.linkname)]
        raise ValueError(f"{name} is a link that leads nowhere")

    def has(self, name: str) -> bool:
        return name in self.entries


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path

    def blob(self, name: str) -> _Blob:
        path = (self.path / name).resolve()
        if not path.is_relative_to(self.path.resolve()):
            raise ValueError(f"{name} leads out of it")
        return _File(path)

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()


def _placed(archive: tarfile.TarFile, *, most: int | None = None) -> _Tar:
    found = {}
    for number, each in enumerate(archive):
        if number == most:
            raise ValueError(f"it has more than {most} files")
        found[str(PurePosixPath(each.name))] = each
    return _Tar(archive, found)


def _opened(source: Path, stack: ExitStack, settings: Mapping[str, Any] | None = None) -> _Image:
    if source.is_dir():
        place: _Place = _Folder(source)
    else:
        place = _placed(stack.enter_context(tarfile.open(source, tarinfo=Header)))  # noqa: SIM115  # the stack does
    if place.has("manifest.json"):
        return _of_docker(place)
    if place.has("index.json"):
        return _of_oci(place)
    if source.is_dir():
        raise ValueError("it has neither an index.json nor a manifest.json")
    return _of_rootfs(source, settings or _SETTINGS)


def _of_docker(place: _Place) -> _Image:
    said = _json(place.blob("manifest.json"))
    if len(said) != 1:
        raise ValueError(f"it has {len(said)} images in it; save one alone")
    config = _bytes(place.blob(said[0]["Config"]))
    blobs = [place.blob(each) for each in said[0]["Layers"]]
    return _image(config, blobs, tuple(said[0].get("RepoTags") or ()))


def _of_oci(place: _Place) -> _Image:
    manifest = _manifest(place, _json(place.blob("index.json")), depth=0)
    config = _bytes(_addressed(place, manifest["config"]))
    return _image(config, [_addressed(place, each) for each in manifest["layers"]])


def _manifest(place: _Place, index: Mapping[str, Any], *, depth: int) -> Mapping[str, Any]:
    """The one manifest that is for this machine; an index may lead to another one."""
    listed = [each for each in index["manifests"] if _fits(each.get("platform"))]
    if len(listed) != 1 or depth > 4:
        raise ValueError(f"it has {len(listed)} images for this machine in it")
    said = _json(_addressed(place, listed[0]))
    return _manifest(place, said, depth=depth + 1) if "manifests" in said else said


def _fits(platform: Mapping[str, str] | None) -> bool:
    if not platform:
        return True
    return (platform.get("os"), platform.get("architecture")) == ("linux", architecture())


def architecture() -> str:
    """What images call this machine's."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(machine, machine)


def _addressed(place: _Place, said: Mapping[str, Any]) -> _Blob:
    kind, _, digest = said["digest"].partition(":")
    if kind != "sha256" or not all(each in "0123456789abcdef" for each in digest) or len(digest) != 64:
        raise ValueError(f"{said['digest']!r} is no digest")
    return place.blob(f"blobs/sha256/{digest}")


_SETTINGS: Mapping[str, Any] = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "Cmd": ["/bin/sh"],
}


def _of_rootfs(source: Path, settings: Mapping[str, Any]) -> _Image:
    with source.open("rb") as stream:
        digest = _digest(_plain(stream))
    config = {
        "architecture": architecture(),
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    return _image(_dumped(config), [_File(source)])


def _image(config: bytes, blobs: list[_Blob], names: tuple[str, ...] = ()) -> _Image:
    order = tuple(each.partition(":")[2] for each in json.loads(config)["rootfs"]["diff_ids"])
    if len(order) != len(blobs):
        raise ValueError(f"it names {len(order)} layers and has {len(blobs)}")
    return _Image(config=config, layers=dict(zip(order, blobs, strict=True)), order=order, names=names)


def _written(image: _Image, target: Path, name: str | None, on_progress: OnProgress | None) -> ImageFile:
    aside = target.with_name(f".{target.name}.partial")
    named = [] if name is None else [name] if name else sorted(image.names)
    try:
        with aside.open("wb") as stream:
            _lay(image, stream, named, on_progress)
        aside.replace(target)
    except BaseException:
        files.remove(aside)
        raise
    return _said(image, target, tuple(named))


def _said(image: _Image, file: Path, names: tuple[str, ...]) -> ImageFile:
    architecture = json.loads(image.config).get("architecture", "")
    return ImageFile(file=file, digest=f"sha256:{_name(image.config)}", architecture=architecture, names=names)


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Sink(Protocol):
    def write(self, block: bytes, /) -> object: ...

    def tell(self) -> int: ...


def _lay(image: _Image, out: _Sink, named: list[str], on_progress: OnProgress | None) -> None:
    """Write the one form."""
    digest = _name(image.config)
    with tarfile.open(fileobj=cast("IO[bytes]", out), mode="w", format=tarfile.GNU_FORMAT) as archive:
        sizes = {each: _size(image.layers[each]) for each in image.layers}
        total, done = sum(sizes.values()), 0
        manifest = _oci_manifest(image, digest, sizes)
        for folder in ("blobs", "blobs/sha256"):  # Apptainer makes no folder that is not named
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        small = {digest: image.config, _name(manifest): manifest}
        for each in sorted({*small, *image.layers}):
            place = f"blobs/sha256/{each}"
            if each in small:
                _add(archive, place, small[each])
                continue
            _add_layer(archive, place, image.layers[each], each, sizes[each])
            done += sizes[each]
            if on_progress:
                on_progress(Progress(phase="Writing the image", done=done, total=total))
        _add(archive, "index.json", _index(manifest))
        _add(archive, "manifest.json", _docker_manifest(image, digest, named))
        _add(archive, "oci-layout", _dumped({"imageLayoutVersion": "1.0.0"}))


def _add_layer(archive: tarfile.TarFile, place: str, blob: _Blob, digest: str, size: int) -> None:
    with blob.open() as packed:
        checked = _Checked(_plain(packed))
        archive.addfile(_entry(place, size), checked)
    if checked.hashed.hexdigest() != digest:
        raise ValueError(f"a layer is not what its digest says (sha256:{digest})")


def _refuse_packed(blob: _Blob) -> None:
    with blob.open() as stream:
        start = stream.read(4)
    if start[:2] == _GZIP or start == _ZSTD:
        raise ValueError("a layer of it is compressed")


class _Checked(io.RawIOBase):
    """A stream, and the hash of what was read of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.hashed = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self.stream.read(size)
        self.hashed.update(block)
        return block


def _plain(stream: IO[bytes]) -> IO[bytes]:
    """The same without its compression."""
    start = stream.read(4)
    stream.seek(0)
    if start[:2] == _GZIP:
        import gzip  # noqa: PLC0415  # most are not

        return gzip.open(stream)  # type: ignore[return-value]  # it reads as a file does
    if start == _ZSTD:
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(stream))
    return stream


def _size(blob: _Blob) -> int:
    """The bytes of a layer without its compression."""
    with blob.open() as packed:
        stream = _plain(packed)
        if stream is packed:
            return packed.seek(0, os.SEEK_END)
        return sum(len(block) for block in _blocks(stream))


def _digest(stream: IO[bytes]) -> str:
    hashed = hashlib.sha256()
    for block in _blocks(stream):
        hashed.update(block)
    return hashed.hexdigest()


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _oci_manifest(image: _Image, digest: str, sizes: Mapping[str, int]) -> bytes:
    layers = [
        {"mediaType": f"{_KIND}layer.v1.tar", "digest": f"sha256:{each}", "size": sizes[each]} for each in image.order
    ]
    config = {"mediaType": f"{_KIND}config.v1+json", "digest": f"sha256:{digest}", "size": len(image.config)}
    kind = f"{_KIND}manifest.v1+json"
    return _dumped({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers})


def _index(manifest: bytes) -> bytes:
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    said = {"mediaType": f"{_KIND}manifest.v1+json", "digest": digest, "size": len(manifest)}
    return _dumped({"schemaVersion": 2, "manifests": [said]})


def _docker_manifest(image: _Image, digest: str, names: list[str]) -> bytes:
    layers = [f"blobs/sha256/{each}" for each in image.order]
    return _dumped([{"Config": f"blobs/sha256/{digest}", "RepoTags": names, "Layers": layers}])


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_entry(name, len(content)), io.BytesIO(content))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry


def _json(blob: _Blob) -> Any:
    return json.loads(_bytes(blob))


def _bytes(blob: _Blob) -> bytes:
    with blob.open() as stream:
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError("its description is too long")
    return content


def _dumped(said: object) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
