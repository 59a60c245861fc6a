"""Layers laid over each other as a plain folder: as a runtime would see them, and nothing of it outside."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from venvoy.actions import image_file, rootfs
from venvoy.errors import InvalidInput

Entry = tuple[tarfile.TarInfo, bytes]


def file(name: str, text: str = "", **said: object) -> Entry:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(text), 0o644, 1_000_000
    for key, value in said.items():
        setattr(info, key, value)
    return info, text.encode()


def folder(name: str, **said: object) -> Entry:
    return file(name, type=tarfile.DIRTYPE, **{"mode": 0o755, **said})


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Entry:
    return file(name, type=kind, linkname=target)


def tarred(*entries: Entry) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


@pytest.fixture
def lay(tmp_path):
    """Lay layers into `out`, through a real image file."""

    def laid(*layers: Iterable[Entry] | bytes, into: str = "out") -> int:
        raw = [each if isinstance(each, bytes) else tarred(*each) for each in layers]
        with image_file.reading(image(tmp_path / "image.tar", *raw)) as reading:
            return rootfs.lay(reading, tmp_path / into)

    return laid


def image(target: Path, *layers: bytes) -> Path:
    layout = target.parent / "layout"
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    listed = [put(each) for each in layers]
    config = {
        "architecture": image_file.architecture(),
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in listed]},
    }
    manifest = put(
        json.dumps({"schemaVersion": 2, "config": put(json.dumps(config).encode()), "layers": listed}).encode()
    )
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    image_file.write(layout, target, name=None)
    return target


def seen(root: Path) -> dict[str, str]:
    return {
        each.relative_to(root).as_posix(): os.readlink(each) if each.is_symlink() else each.read_text()
        for each in sorted(root.rglob("*"))
        if each.is_symlink() or each.is_file()
    }


def test_later_layers_lie_over_earlier_ones(lay, tmp_path):
    lay(
        (
            folder("./etc"),
            file("./etc/a", "1"),
            file("./etc/b", "1"),
            folder("gone"),
            file("gone/x"),
            link("to", "etc"),
        ),
        (
            file("etc/a", "2"),
            file("etc/.wh.b"),
            file(".wh.gone"),
            file("etc/c", "2"),
            link("d", "etc/c", tarfile.LNKTYPE),
        ),
    )

    assert seen(tmp_path / "out") == {"etc/a": "2", "etc/c": "2", "d": "2", "to": "etc"}
    assert (tmp_path / "out/d").samefile(tmp_path / "out/etc/c")


def test_an_opaque_folder_keeps_only_what_its_own_layer_has(lay, tmp_path):
    lay((file("etc/old/a", "1"), file("etc/b", "1")), (file("etc/new/c", "2"), file("etc/.wh..wh..opq")))

    assert seen(tmp_path / "out") == {"etc/new/c": "2"}


def test_links_are_followed_within_the_image(lay, tmp_path):
    (tmp_path / "outside").mkdir()
    lay(
        (folder("usr/lib"), link("lib", "usr/lib"), link("abs", "/usr"), link("up", f"../../..{tmp_path}/outside")),
        (file("lib/a", "1"), file("abs/lib/b", "2"), file("up/c", "3")),
    )

    assert (tmp_path / "out/usr/lib/a").read_text() == "1"
    assert (tmp_path / "out/usr/lib/b").read_text() == "2"
    assert list((tmp_path / "outside").iterdir()) == []
    assert (tmp_path / f"out{tmp_path}/outside/c").read_text() == "3"


def test_files_are_the_users_without_rights_by_their_owner_and_can_be_removed(lay, tmp_path):
    lay((folder("shut", mode=0o555), file("shut/su", "x", mode=0o4755, uid=0), file("time", "x", mtime=12345)))

    assert oct((tmp_path / "out/shut/su").stat().st_mode)[-4:] == "0755"
    assert (tmp_path / "out/time").stat().st_mtime == 12345
    rootfs.remove(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_devices_of_dev_are_left_out_and_counted(lay, tmp_path):
    left_out = lay((file("dev/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3), file("a", type=tarfile.FIFOTYPE)))

    assert left_out == 2
    assert list((tmp_path / "out").rglob("*")) in ([], [tmp_path / "out/dev"])


HOSTILE = {
    "climbs out": ((file("../evil"),), "leads out"),
    "climbs out further on": ((file("a/../../evil"),), "leads out"),
    "absolute": ((file("/tmp/evil"),), "absolute"),
    "device": ((file("etc/disk", type=tarfile.BLKTYPE, devmajor=8),), "is a device"),
    "hard link out": ((link("a", "../../../etc/passwd", tarfile.LNKTYPE),), "leads out"),
    "absolute hard link": ((link("a", "/etc/passwd", tarfile.LNKTYPE),), "absolute"),
    "hard link to nothing": ((link("a", "etc/passwd", tarfile.LNKTYPE),), "no file in it"),
    "hard link to a folder": ((folder("b"), link("a", "b", tarfile.LNKTYPE)), "no file in it"),
    "links in circles": ((link("a", "b"), link("b", "a"), file("a/x")), "lead nowhere"),
    "takes away what it must not": ((file(".wh..."),), "takes nothing away"),
    "takes the folder above away": ((file("a/.wh..."),), "takes nothing away"),
    "no tar": (b"x" * 2000, "damaged"),
    "cut off": (tarred(file("a", "x" * 5000))[:2000], "damaged|cannot be unpacked|cut off"),
    "bomb of headers": (tarred(file("a", pax_headers={"comment": "x" * 5_000_000})), "a header has"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_layer_is_refused_with_the_reason_and_nothing_lies_outside(lay, tmp_path, kind):
    layer, reason = HOSTILE[kind]

    (tmp_path / "in").mkdir()
    with pytest.raises(InvalidInput, match=rf"layer 1 of the image .*(?:{reason})"):
        lay(layer, into="in/out")

    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "in/evil").exists()


def test_a_folder_whose_place_a_link_has_taken_gets_its_rights_nowhere_else(lay, tmp_path):
    victim = tmp_path / "victim/ssh"
    victim.mkdir(parents=True, mode=0o700)
    os.utime(victim, (1, 1))

    lay(tarred(folder("a"), folder("a/ssh", mode=0o777), link("a", str(tmp_path / "victim"))))

    assert (victim.stat().st_mode & 0o777, victim.stat().st_mtime) == (0o700, 1)


NAMES = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", "c/d", "/", ".wh.a", ".wh..wh..opq", "dev"]), max_size=4
).map("/".join)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(NAMES, KINDS, NAMES), max_size=6), min_size=1, max_size=3))
def test_whatever_the_layers_say_nothing_is_written_outside(tmp_path, layers):
    place = tmp_path / "place"
    if place.exists():
        rootfs.remove(place)
    (place / "in").mkdir(parents=True)
    raw = [tarred(*(file(name or "x", type=kind, linkname=aim) for name, kind, aim in layer)) for layer in layers]
    try:
        with image_file.reading(image(place / "image.tar", *raw)) as reading:
            rootfs.lay(reading, place / "in/out")
    except InvalidInput:
        pass

    assert sorted(each.name for each in place.iterdir()) == ["image.tar", "in", "layout"]
    assert [each.name for each in (place / "in").iterdir()] in ([], ["out"])


def test_a_folder_as_a_layer_gives_the_same_bytes_and_comes_back(tmp_path, lay):
    tree = tmp_path / "tree"
    (tree / "b").mkdir(parents=True)
    (tree / "b/file").write_text("text")
    (tree / "b/again").hardlink_to(tree / "b/file")
    (tree / "a").symlink_to("/b/file")
    os.mkfifo(tree / "pipe")
    for each in (tree / "b/file", tree / "b"):
        os.utime(each, (1, 1))

    rootfs.write_layer(tree, tmp_path / "one.tar")
    (tree / "b/file").chmod(0o4644)
    rootfs.write_layer(tree, tmp_path / "two.tar")
    lay((tmp_path / "one.tar").read_bytes())

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert seen(tmp_path / "out") == {"a": "/b/file", "b/again": "text", "b/file": "text"}
    with tarfile.open(tmp_path / "one.tar") as tar:
        assert {(each.uid, each.gid, each.uname) for each in tar} == {(0, 0, "")}
        assert tar.getnames() == ["a", "b", "b/again", "b/file"]


LARGE = textwrap.dedent("""
    import os, re, sys, tarfile
    from pathlib import Path
    from venvoy.actions import image_file, rootfs

    folder, size = Path(sys.argv[1]), int(sys.argv[2])
    (folder / "tree").mkdir()
    block = os.urandom(1 << 20)
    for number in range(4):
        with (folder / f"tree/{number}.bin").open("wb") as stream:
            for _ in range(size // 4 >> 20):
                stream.write(block)
    rootfs.write_layer(folder / "tree", folder / "layer.tar")
    image_file.write(folder / "layer.tar", folder / "image.tar", name=None)
    with image_file.reading(folder / "image.tar") as image:
        rootfs.lay(image, folder / "out")
    assert (folder / "out/3.bin").stat().st_size == size // 4
    print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
""")


@pytest.mark.slow
def test_a_gigabyte_needs_less_than_150_megabytes_of_memory(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", LARGE, tmp_path, str(1 << 30)], check=True, capture_output=True, text=True
    )

    assert int(ran.stdout) < 150_000
