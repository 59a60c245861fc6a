"""Downloads: side by side, checked, and taken up again where a break left them."""

import contextlib
import hashlib
import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from venvoy import cancelling
from venvoy.fetch import Wanted, fetch, sizes
from venvoy.model import Progress


@dataclass
class Shelf:
    """A server of files that can be told to misbehave; `asked` are the Range headers that it got."""

    files: dict[str, bytes]
    address: str = ""
    ranges: bool = True
    breaks: int = 0
    status: int = 0
    asked: list[str] = field(default_factory=list)

    def wanted(self, name: str, folder: Path, *, sha256: str = "") -> Wanted:
        digest = hashlib.sha256(self.files.get(name, b"")).hexdigest()
        return Wanted(urls=(f"{self.address}/{name}",), file=folder / name, sha256=sha256 or digest)


@pytest.fixture
def shelf(monkeypatch) -> Iterator[Shelf]:  # one server with all its moods
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Shelf({"a.whl": b"a" * 500_000, "b.whl": b"b" * 1000})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            body = made.files.get(self.path.strip("/"))
            if made.status or body is None:
                self.send_error(made.status or 404)
                return
            said = self.headers.get("Range", "")
            made.asked.append(said)
            start = int(said.removeprefix("bytes=").rstrip("-")) if said and made.ranges else 0
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            if self.command == "HEAD":
                return
            if made.breaks:
                made.breaks -= 1
                self.wfile.write(body[start : start + 100_000])
                self.wfile.flush()
                self.connection.close()
            else:
                self.wfile.write(body[start:])

        def log_message(self, *_words: object) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, ValueError):
                super().handle()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def there(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_files_are_fetched_and_checked(shelf, tmp_path):
    told: list[Progress] = []

    missed = fetch([shelf.wanted(name, tmp_path) for name in shelf.files], on_progress=told.append)

    assert missed == ()
    assert (tmp_path / "a.whl").read_bytes() == shelf.files["a.whl"]
    assert there(tmp_path) == ["a.whl", "b.whl"]
    assert (told[-1].done, told[-1].total) == (501_000, 501_000)


def test_a_file_with_another_hash_is_not_kept(shelf, tmp_path):
    missed = fetch([shelf.wanted("a.whl", tmp_path, sha256="0" * 64), shelf.wanted("b.whl", tmp_path)])

    assert ["its sha256 is" in each.reason for each in missed] == [True]
    assert there(tmp_path) == ["b.whl"]


def test_the_second_address_is_tried_when_the_first_does_not_have_it(shelf, tmp_path):
    good = shelf.wanted("a.whl", tmp_path)

    missed = fetch([Wanted(urls=(f"{shelf.address}/nowhere", *good.urls), file=good.file, sha256=good.sha256)])

    assert missed == ()


def test_a_break_is_gone_on_from_where_it_was(shelf, tmp_path):
    shelf.breaks = 2

    assert fetch([shelf.wanted("a.whl", tmp_path)]) == ()
    begun = [int(each.removeprefix("bytes=").rstrip("-") or 0) for each in shelf.asked]
    assert len(begun) == 3
    assert 0 == begun[0] < begun[1] < begun[2]


def test_what_a_killed_run_left_is_gone_on_with(shelf, tmp_path):
    (tmp_path / ".a.whl.partial").write_bytes(shelf.files["a.whl"][:300_000])

    assert fetch([shelf.wanted("a.whl", tmp_path)]) == ()
    assert shelf.asked == ["bytes=300000-"]
    assert there(tmp_path) == ["a.whl"]


def test_a_server_without_ranges_gives_it_all_anew(shelf, tmp_path):
    shelf.ranges = False
    (tmp_path / ".a.whl.partial").write_bytes(b"x" * 1000)

    assert fetch([shelf.wanted("a.whl", tmp_path)]) == ()
    assert (tmp_path / "a.whl").read_bytes() == shelf.files["a.whl"]


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * 900_000])
def test_what_was_left_of_another_file_is_thrown_away(shelf, tmp_path, left):
    (tmp_path / ".a.whl.partial").write_bytes(left)

    assert fetch([shelf.wanted("a.whl", tmp_path)]) == ()
    assert (tmp_path / "a.whl").read_bytes() == shelf.files["a.whl"]


def test_what_is_not_there_is_told_with_its_host_and_no_password(shelf, tmp_path):
    address = shelf.address.replace("//", "//ada:secret@")
    wanted = Wanted(urls=(f"{address}/nowhere?token=secret",), file=tmp_path / "x", sha256="0" * 64)

    [missed] = fetch([wanted])

    assert missed.reason == "127.0.0.1: 404 Not Found"
    assert there(tmp_path) == []


def test_a_server_that_fails_is_asked_again_and_then_given_up(shelf, tmp_path):
    shelf.status = 503
    began = time.monotonic()

    [missed] = fetch([shelf.wanted("a.whl", tmp_path)])

    assert missed.reason == "127.0.0.1: it answers with an error"
    assert time.monotonic() - began > 2


def test_a_proxy_that_is_configured_is_stronger_than_the_environments(shelf, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    address = "http://channel.invalid/a.conda"
    shelf.files[address] = b"by the proxy"
    one = Wanted(urls=(address,), file=tmp_path / "a.conda", sha256=hashlib.sha256(b"by the proxy").hexdigest())

    assert fetch([one], proxies={"http": shelf.address}) == ()
    assert one.file.read_bytes() == b"by the proxy"


def test_the_environments_proxies_hold_for_what_the_configured_ones_are_not_for(shelf, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", shelf.address)
    shelf.files["http://other.invalid/b.conda"] = b"by the environment's"
    told = hashlib.sha256(b"by the environment's").hexdigest()
    by_proxy = Wanted(urls=("http://other.invalid/b.conda",), file=tmp_path / "b.conda", sha256=told)

    direct = [replace(shelf.wanted("b.whl", tmp_path), file=tmp_path / f"{number}.whl") for number in range(9)]
    assert fetch([by_proxy, *direct], proxies={"https": "http://127.0.0.1:9"}) == ()


def test_where_nobody_listens_that_is_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    [missed] = fetch([Wanted(urls=("http://127.0.0.1:9/x",), file=tmp_path / "x", sha256="0" * 64)])

    assert missed.reason == "127.0.0.1: it cannot be reached"


def test_a_server_that_is_not_there_is_not_waited_for_with_each_file(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    wanted = [
        Wanted(urls=(f"http://127.0.0.1:9/{each}",), file=tmp_path / str(each), sha256="0" * 64) for each in range(80)
    ]
    began = time.monotonic()
    missed = fetch(wanted)
    took = time.monotonic() - began
    fetch(wanted[:1])
    one = time.monotonic() - began - took

    assert [each.reason for each in missed] == ["127.0.0.1: it cannot be reached"] * 80
    assert took < 3 * one  # with pauses for each, eight at a time, it would be ten of it


def test_what_is_cancelled_waits_for_no_server_that_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent, cancelling.scope() as cancel:
        silent.settimeout(60)
        asked = threading.Thread(target=lambda: (guests.append(silent.accept()[0]), cancel()))
        guests: list[socket.socket] = []
        asked.start()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.whl"

        with pytest.raises(cancelling.Cancelled):
            fetch([Wanted(urls=(url,), file=tmp_path / "a.whl", sha256="0" * 64)])

        asked.join()
        waits = [each for each in threading.enumerate() if each.name.startswith("venvoy-fetch")]
        guests[0].close()

    assert waits  # it still waits for the server, and nobody for it
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_ends_it_and_leaves_what_it_has_for_the_next_time(shelf, tmp_path):
    def stop(progress: Progress) -> None:
        if progress.done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch([shelf.wanted("a.whl", tmp_path)], on_progress=stop)

    assert "a.whl" not in there(tmp_path)
    assert fetch([shelf.wanted("a.whl", tmp_path)]) == ()


def test_sizes_are_asked_for_without_the_content(shelf, tmp_path):
    (tmp_path / "c.whl").write_bytes(b"c" * 10)
    urls = [f"{shelf.address}/{name}" for name in ("a.whl", "b.whl", "nowhere")]
    urls += [(tmp_path / name).as_uri() for name in ("c.whl", "nowhere")]

    assert sizes(urls) == {urls[0]: 500_000, urls[1]: 1000, urls[3]: 10}


# --- from this machine


@pytest.fixture
def lying(tmp_path) -> Wanted:
    """A file in a folder whose name has to be quoted, and where it is to go."""
    place = tmp_path / "a disk/ä+.whl"
    place.parent.mkdir()
    place.write_bytes(b"c" * 200_000)
    (tmp_path / "to").mkdir()
    return Wanted(
        urls=(place.as_uri(),), file=tmp_path / "to/c.whl", sha256=hashlib.sha256(place.read_bytes()).hexdigest()
    )


def test_what_lies_in_a_folder_is_copied_before_any_server_is_asked(shelf, lying):
    told: list[Progress] = []

    missed = fetch([replace(lying, urls=(f"{shelf.address}/a.whl", *lying.urls))], on_progress=told.append)

    assert missed == ()
    assert there(lying.file.parent) == ["c.whl"]
    assert lying.file.stat().st_size == 200_000
    assert (told[-1].done, told[-1].total) == (200_000, 200_000)
    assert shelf.asked == []


def test_what_lies_there_with_another_hash_or_not_at_all_is_told_with_its_place(lying, tmp_path):
    (changed,) = fetch([replace(lying, sha256="0" * 64)])
    os.mkfifo(tmp_path / "pipe.whl")
    others = [tmp_path / "gone.whl", tmp_path / "pipe.whl", tmp_path]
    none = [fetch([replace(lying, urls=(each.as_uri(),))])[0].reason for each in others]

    assert changed.reason.startswith(f"{tmp_path}/a disk/ä+.whl: its sha256 is ")
    assert none == [f"{each}: there is no such file" for each in others]
    assert there(lying.file.parent) == []


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("ftp://me:secret@there/a", "there"),
        ("file://there/a", "there"),
        ("a.whl", "a.whl"),
        ("ftp://me:secret@/t/token/a.whl", "a.whl"),
        ("https://me:secret@", "https"),
        ("https://", "https"),
    ],
)
def test_what_is_no_address_of_a_file_is_said(tmp_path, url, named):
    (missed,) = fetch([Wanted(urls=(url,), file=tmp_path / "a.whl", sha256="0" * 64)])

    assert missed.reason == f"{named}: this kind of address is not fetched"
