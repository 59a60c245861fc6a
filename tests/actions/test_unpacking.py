"""Archives of anybody's: nothing lands outside, nothing is more than was announced, and the reason is said."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pytest
import zstandard

from venvoy.actions.packing import Member, pack
from venvoy.actions.signing import sign
from venvoy.actions.unpacking import FORMAT, MANIFEST, SIGNATURE, unpack
from venvoy.errors import InvalidInput

GOOD = {"README.txt": b"read me\n", "wheels/a-1-py3-none-any.whl": b"wheel" * 1000, "files/sub/n.ipynb": b"{}"}


def announced(content: dict[str, bytes], **said: object) -> bytes:
    members = {name: {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()} for name, text in content.items()}
    return json.dumps({"format": FORMAT, "environment": "demo", "members": members, **said}).encode()


def member(name: str, data: bytes = b"", **said: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in said.items():
        setattr(info, key, value)
    return info, data


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def written(tmp_path: Path, raw: bytes, *, squeeze: bool = True) -> Path:
    file = tmp_path / "x.venvoy.tar.zst"
    file.write_bytes(zstandard.ZstdCompressor().compress(raw) if squeeze else raw)
    return file


def archive(content: dict[str, bytes], manifest: bytes | None = None, *more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    head = member(MANIFEST, announced(content) if manifest is None else manifest)
    return tarred(head, *(member(name, data) for name, data in content.items()), *more)


def test_a_good_one_is_unpacked_whole(tmp_path):
    found = unpack(written(tmp_path, archive(GOOD)), tmp_path / "out")

    assert {name: (tmp_path / "out" / name).read_bytes() for name in GOOD} == GOOD
    assert (set(found.members), found.size) == (set(GOOD), sum(map(len, GOOD.values())))
    assert found.signature.state == "unsigned"
    assert oct((tmp_path / "out").stat().st_mode)[-3:] == "700"


def renamed(name: str) -> bytes:
    return archive({**GOOD, name: b"x"})


def swapped(**said: object) -> bytes:
    """The good one, with its first member made something else."""
    first = member("README.txt", GOOD["README.txt"] if "size" not in said else b"", **said)
    others = [member(name, data) for name, data in GOOD.items() if name != "README.txt"]
    return tarred(member(MANIFEST, announced(GOOD)), first, *others)


def manifest_with(change) -> bytes:
    said = json.loads(announced(GOOD))
    change(said)
    return archive(GOOD, json.dumps(said).encode())


def pax_bomb(room: int = 0) -> bytes:
    """With `room` the manifest announces a file that is as large: what is too much is not what there is in all."""
    good = {**GOOD, "files/large": bytes(room)} if room else GOOD
    info, data = member("README.txt", good["README.txt"])
    info.pax_headers = {"comment": "x" * 50_000_000}
    others = [member(name, data) for name, data in good.items() if name != "README.txt"]
    return tarred(member(MANIFEST, announced(good)), (info, data), *others)


def commented(length: int, *, of_all: bool = False) -> bytes:
    """Every member has a comment, as long as there is room for where one file is large."""
    raw, good = io.BytesIO(), {**GOOD, "files/large": bytes(1_000_000)}
    said = {"comment": "x" * length}
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT, pax_headers=said if of_all else {}) as tar:
        for name, data in {MANIFEST: announced(good), **good}.items():
            info, _ = member(name, data)
            info.pax_headers = said if name != MANIFEST and not of_all else {}
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def nested(count: int) -> bytes:
    """Headers of headers, behind a manifest that announces room for them."""
    good = {**GOOD, "files/large": bytes(10_000_000)}
    head = tarred(member(MANIFEST, announced(good)))
    at = len(head.rstrip(b"\0")) + tarfile.BLOCKSIZE & -tarfile.BLOCKSIZE
    one = tarfile.TarInfo("pax")
    one.type, one.size = tarfile.XHDTYPE, 12
    return head[:at] + count * (one.tobuf(tarfile.USTAR_FORMAT) + b"12 comment=\n".ljust(tarfile.BLOCKSIZE, b"\0"))


HOSTILE = {
    "climbs out": (lambda: renamed("files/../../evil"), "leads elsewhere"),
    "absolute": (lambda: renamed("/tmp/evil"), "leads elsewhere"),
    "dot": (lambda: renamed("files/./evil"), "leads elsewhere"),
    "empty part": (lambda: renamed("files//evil"), "leads elsewhere"),
    "backslash": (lambda: renamed("files\\..\\evil"), "leads elsewhere"),
    "drive": (lambda: renamed("files/x/C:/evil".replace("files/x/", "")), "other systems|no place"),
    "control characters": (lambda: renamed("files/a\x1b[31m"), "cannot be seen"),
    "reversed reading": (lambda: renamed("files/gpj.\u202eexe"), "cannot be seen"),
    "too long": (lambda: renamed(f"files/{'x' * 250}"), "too long"),
    "ends in a dot": (lambda: renamed("files/a."), "other systems"),
    "no place": (lambda: renamed("etc/passwd"), "no place"),
    "script of theirs": (lambda: renamed("setup.py"), "no place"),
    "same but for case": (lambda: renamed("files/SUB/N.ipynb"), "one file on some systems"),
    "same but for unicode": (lambda: archive({"files/é": b"1", "files/e\u0301": b"2"}), "one file on some systems"),
    "file and folder": (lambda: renamed("files/sub"), "also the folder"),
    "twice": (lambda: archive(GOOD, None, member("README.txt", GOOD["README.txt"])), "twice"),
    "not announced": (lambda: archive(GOOD, announced({k: v for k, v in GOOD.items() if k != "README.txt"})), "not in its manifest"),
    "missing": (lambda: archive({"README.txt": b"x"}, announced({**GOOD, "README.txt": b"x"})), "is missing"),
    "changed": (lambda: archive({**GOOD, "README.txt": b"READ ME\n"}, announced(GOOD)), "was changed"),
    "longer": (lambda: archive({**GOOD, "README.txt": b"read me\n more"}, announced(GOOD)), "bytes, not"),
    "symbolic link": (lambda: swapped(type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0), "no plain file"),
    "hard link": (lambda: swapped(type=tarfile.LNKTYPE, linkname="manifest.json", size=0), "no plain file"),
    "device": (lambda: swapped(type=tarfile.CHRTYPE, devmajor=1, devminor=3, size=0), "no plain file"),
    "pipe": (lambda: swapped(type=tarfile.FIFOTYPE, size=0), "no plain file"),
    "folder": (lambda: swapped(type=tarfile.DIRTYPE, size=0), "no plain file"),
    "no manifest": (lambda: tarred(*(member(name, data) for name, data in GOOD.items())), "no archive of venvoy"),
    "manifest is no JSON": (lambda: archive(GOOD, b"{"), "manifest cannot be read"),
    "manifest is a list": (lambda: archive(GOOD, b"[]"), "manifest cannot be read"),
    "manifest nests": (lambda: archive(GOOD, b'{"format":' + b"[" * 100_000), "manifest cannot be read"),
    "another format": (lambda: manifest_with(lambda said: said.update(format="venvoy-archive-9")), "its format is"),
    "negative size": (lambda: manifest_with(lambda said: said["members"]["README.txt"].update(size=-1)), "nothing usable"),
    "more than any disk has": (lambda: manifest_with(lambda said: said["members"]["README.txt"].update(size=1 << 49)), "are free"),
    "hash of nothing": (lambda: manifest_with(lambda said: said["members"]["README.txt"].update(sha256="x")), "nothing usable"),
    "bomb of headers": (pax_bomb, "a header has 500000"),
    "bomb of headers with room for it": (lambda: pax_bomb(60_000_000), "a header has 500000"),
    "headers that add up": (lambda: commented(20_000), "more in it"),
    "a header for all": (lambda: commented(10, of_all=True), "said of all"),
    "headers without end": (lambda: nested(5_000), "more in it|damaged"),
    "bomb at the end": (lambda: archive(GOOD) + b"\0" * 80_000_000, "more in it|follows its end"),
    "empty": (lambda: b"", "no archive of venvoy|damaged"),
    "no tar": (lambda: os.urandom(100_000), "damaged|no archive"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_with_the_reason_and_leaves_nothing(tmp_path, kind):
    make, reason = HOSTILE[kind]
    file = written(tmp_path, make())

    with pytest.raises(InvalidInput, match=rf"is refused: .*(?:{reason})"):
        unpack(file, tmp_path / "out")

    assert sorted(each.name for each in tmp_path.iterdir()) == [file.name]


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
def test_one_that_was_cut_off_is_refused(tmp_path, cut):
    whole = zstandard.ZstdCompressor().compress(archive({**GOOD, "files/r": os.urandom(200_000)}))
    file = written(tmp_path, whole[: int(len(whole) * cut)], squeeze=False)

    with pytest.raises(InvalidInput, match="is refused"):
        unpack(file, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_one_flipped_bit_anywhere_is_found(tmp_path):
    whole = bytearray(zstandard.ZstdCompressor().compress(archive({**GOOD, "files/r": os.urandom(2000)})))
    for place in range(20, len(whole), 97):
        whole[place] ^= 1
        file = written(tmp_path, bytes(whole), squeeze=False)
        with pytest.raises(InvalidInput):
            unpack(file, tmp_path / "out")
        whole[place] ^= 1


@pytest.mark.parametrize("tail", [b"more", zstandard.ZstdCompressor().compress(b"another")])
def test_what_follows_its_end_is_refused(tmp_path, tail):
    file = written(tmp_path, zstandard.ZstdCompressor().compress(archive(GOOD)) + tail, squeeze=False)

    with pytest.raises(InvalidInput, match=r"follows its end|damaged"):
        unpack(file, tmp_path / "out")


def test_what_is_no_zstd_and_what_is_not_there_is_said(tmp_path):
    with pytest.raises(InvalidInput, match="no zstd"):
        unpack(written(tmp_path, b"PK\x03\x04 a zip", squeeze=False), tmp_path / "out")
    with pytest.raises(InvalidInput, match="cannot be read"):
        unpack(tmp_path / "nowhere", tmp_path / "out")


@pytest.fixture
def key(tmp_path) -> Path:
    path = tmp_path / "keys" / "id"
    path.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def signers(key) -> Path:
    file = key.with_name("allowed")
    file.write_text(f"ada@example.org {key.with_suffix('.pub').read_text()}")
    return file


def signed(tmp_path: Path, key: Path, content: dict[str, bytes] = GOOD, manifest: bytes = b"") -> Path:
    text = announced(content)
    head = [Member(name=MANIFEST, data=manifest or text), Member(name=SIGNATURE, data=sign(text, key))]
    return pack(
        [*head, *(Member(name=name, data=data) for name, data in content.items())],
        tmp_path / "s.tar.zst",
        compression="zst",
    ).path


def test_who_signed_is_said_as_far_as_it_was_checked(tmp_path, key, signers):
    file = signed(tmp_path, key)

    unchecked = unpack(file, tmp_path / "one").signature
    good = unpack(file, tmp_path / "two", allowed_signers=signers).signature

    assert (unchecked.state, good.state, good.who) == ("unchecked", "good", "ada@example.org")
    assert "not checked" in unchecked.sentence
    assert good.key.startswith("ED25519 SHA256:")


def test_one_that_was_changed_after_signing_is_refused(tmp_path, key, signers):
    changed = {**GOOD, "README.txt": b"no, me!\n"}
    text = announced(changed)
    head = [member(MANIFEST, text), member(SIGNATURE, sign(announced(GOOD), key))]
    file = written(tmp_path, tarred(*head, *(member(name, data) for name, data in changed.items())))

    for allowed in (None, signers):
        with pytest.raises(InvalidInput, match="changed after it was signed"):
            unpack(file, tmp_path / "out", allowed_signers=allowed)


def test_where_signers_are_named_only_theirs_is_taken(tmp_path, key, signers):
    signers.write_text(signers.read_text().replace("AAAA", "AAAB", 1))
    file = signed(tmp_path, key)

    with pytest.raises(InvalidInput, match="not in"):
        unpack(file, tmp_path / "out", allowed_signers=signers)
    with pytest.raises(InvalidInput, match="not signed"):
        unpack(written(tmp_path, archive(GOOD)), tmp_path / "out", allowed_signers=signers)


LARGE = textwrap.dedent("""
    import hashlib, json, os, re, resource, sys
    from collections import Counter
    from pathlib import Path
    from venvoy.actions.packing import Member, pack
    from venvoy.actions.unpacking import FORMAT, unpack

    folder, size = Path(sys.argv[1]), int(sys.argv[2])
    seen = Counter()
    block = os.urandom(1 << 20)
    for number in range(4):
        with (folder / f"{number}.bin").open("wb") as stream:
            for _ in range(size // 4 >> 20):
                stream.write(block if number % 2 else bytes(1 << 20))
    def digest(path):
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    members = [Member(name=f"files/{n}.bin", path=folder / f"{n}.bin", sha256=digest(folder / f"{n}.bin")) for n in range(4)]
    said = {each.name: {"size": each.size, "sha256": each.sha256} for each in members}
    head = Member(name="manifest.json", data=json.dumps({"format": FORMAT, "members": said}).encode())
    packed = pack([head, *members], folder / "large.tar.zst", compression="zst", on_progress=lambda each: seen.update((each.phase,)))
    found = unpack(packed.path, folder / "out", on_progress=lambda each: seen.update((each.phase,)))
    assert found.size == sum(each.size for each in members)
    assert set(seen) == {"Packing", "Unpacking"}
    try:  # the peak that getrusage tells is also that of the process which forked us
        print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    except FileNotFoundError:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
""")


@pytest.mark.slow
def test_two_gigabytes_need_less_than_300_megabytes_of_memory(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", LARGE, tmp_path, str(2 << 30)], check=True, capture_output=True, text=True
    )

    assert int(ran.stdout) < 300_000
