"""The only room that downloads: files by url and sha256, side by side, taken up again where a break left them."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import truststore
from requests import RequestException, Response, Session, exceptions
from requests.adapters import HTTPAdapter
from urllib3 import disable_warnings
from urllib3.exceptions import ConnectTimeoutError, InsecureRequestWarning, NewConnectionError

from . import cancelling, files
from .model import OnProgress, Progress

AT_ONCE = 8
ATTEMPTS = 4
PATIENCE = (10, 60)
"""Seconds to wait for a connection, and for the next bytes."""
_BLOCK = 1 << 16
"""Bytes that are read at once; when a connection breaks the last of them are lost."""
PHASE = "Fetching"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file: where it may be had, what lies on this machine first; where it goes; and the sha256 that it must have.

    The addresses are of https, http or file.
    """

    urls: tuple[str, ...]
    file: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A file that could not be had, and why; the reason names hosts, never users or passwords."""

    wanted: Wanted
    reason: str


class _Stopped(Exception):  # ends a thread, nobody sees it
    pass


class _Wrong(Exception):  # told as a reason
    pass


def fetch(
    wanted: Sequence[Wanted],
    *,
    trust: bool | str = True,
    proxies: Mapping[str, str] | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[Missed, ...]:
    """Download every file and check its hash before it gets its name; returns those that could not be had.

    What a break leaves of a file lies beside it as `.NAME.partial` and is gone on with. The user's netrc is used,
    and so are the system's certificates, unless `trust` is a file or folder of others, or False for whoever it is, and
    the system's proxies, unless `proxies` has one for "http" or "https".
    """
    tally = _Tally(on_progress)
    with session(trust=trust, proxies=proxies) as asking:
        try:
            return tuple(each for each in _side_by_side(lambda one: _fetched(asking, one, tally), wanted) if each)
        except BaseException:
            tally.stop.set()
            raise


def _side_by_side(had: Callable[[Wanted], Missed | None], wanted: Sequence[Wanted]) -> Iterator[Missed | None]:
    """What `had` returns for each, AT_ONCE at a time. Whoever is interrupted waits for no server that says nothing."""
    futures: list[Future[Missed | None]] = [Future() for _ in wanted]
    waiting = deque(zip(futures, wanted, strict=True))

    def work() -> None:
        while waiting:
            with contextlib.suppress(IndexError):  # another thread was quicker
                future, one = waiting.popleft()
                try:
                    future.set_result(had(one))
                except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
                    future.set_exception(error)

    for number in range(min(AT_ONCE, len(wanted))):
        threading.Thread(target=work, name=f"venvoy-fetch-{number}", daemon=True).start()
    try:
        for future in futures:
            while cancelling.possible() and not wait([future], timeout=cancelling.STEP).done:
                cancelling.look()
            yield future.result()
    finally:
        waiting.clear()


def sizes(urls: Iterable[str]) -> dict[str, int]:
    """The bytes of what lies at each url; those that do not say are left out."""
    urls = tuple(urls)

    def asked(url: str) -> tuple[str, int | None]:
        try:
            if here := _here(url):
                return url, here.stat().st_size
            said = asking.head(url, timeout=PATIENCE, allow_redirects=True)
            return url, int(said.headers["Content-Length"]) if said.ok else None
        except (OSError, KeyError, ValueError):  # RequestException is an OSError
            return url, None

    with session() as asking, ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return {url: size for url, size in pool.map(asked, urls) if size is not None}


class _SystemTrust(HTTPAdapter):
    """Trusts whom the system trusts: an institution's proxy is in its list alone."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return super().proxy_manager_for(*args, **kwargs, ssl_context=context)


class _Tally:
    """Adds up what all threads have fetched; the total is known when every file has begun or ended.

    `unreachable` are the servers to which no attempt has come through: of what else they have each is asked for once.
    """

    def __init__(self, on_progress: OnProgress | None) -> None:
        self.stop = threading.Event()
        self.unreachable: set[str] = set()
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._done = self._total = 0

    def more(self, count: int, *, total: int = 0) -> None:
        with self._lock:
            self._done += count
            self._total += total
            if self._on_progress is not None:
                self._on_progress(Progress(phase=PHASE, done=self._done, total=max(self._total, self._done)))


def _fetched(session: Session, wanted: Wanted, tally: _Tally) -> Missed | None:
    reason = "no address is known"
    for url in sorted(wanted.urls, key=lambda each: _here(each) is None):
        try:
            _download(session, url, wanted, tally)
        except _Wrong as error:
            reason = f"{_named(url)}: {error}"
        else:
            return None
    return Missed(wanted=wanted, reason=reason)


def _download(session: Session, url: str, wanted: Wanted, tally: _Tally) -> None:
    """Raises _Wrong, with the reason, when it cannot be had from there."""
    if here := _here(url):
        _copy(here, wanted, tally)
        return
    server = urlsplit(url).netloc
    for attempt in range(ATTEMPTS):
        if attempt:
            tally.stop.wait(min(0.5 * 2 ** (attempt - 1), 4))
        if tally.stop.is_set():
            raise _Stopped
        try:
            _attempt(session, url, wanted, tally)
        except (exceptions.InvalidSchema, exceptions.InvalidURL, exceptions.MissingSchema) as error:
            raise _Wrong("this kind of address is not fetched") from error
        except (RequestException, ConnectionError, TimeoutError) as error:
            reason, reached = _plain(error), not _kept_out(error)
            if server in tally.unreachable and not reached:
                break
        else:
            return
    if not reached:
        tally.unreachable.add(server)
    raise _Wrong(reason)


def _kept_out(error: Exception) -> bool:
    """Whether not even a connection came to be."""
    return isinstance(getattr(next(iter(error.args), None), "reason", None), ConnectTimeoutError | NewConnectionError)


def _attempt(session: Session, url: str, wanted: Wanted, tally: _Tally) -> None:
    partial = _partial(wanted)
    hashed, there = _begun(partial)
    headers = {"Range": f"bytes={there}-"} if there else {}
    # Without this a server may send a .tar.gz unpacked, which is another file.
    headers["Accept-Encoding"] = "identity"
    with session.get(url, headers=headers, stream=True, timeout=PATIENCE) as answer:
        if answer.status_code == 416:  # what is there is longer than the file
            files.remove(partial)
            raise ConnectionError("nothing of what was begun fits")
        if 400 <= answer.status_code < 500 and answer.status_code not in (408, 429):
            raise _Wrong(f"{answer.status_code} {answer.reason}")
        answer.raise_for_status()
        if there and not _goes_on(answer, there):
            hashed, there = hashlib.sha256(), 0
        size = int(answer.headers.get("Content-Length") or 0)
        tally.more(there, total=there + size)
        with partial.open("ab" if there else "wb") as stream:
            count = there + _written(answer.iter_content(_BLOCK), stream, hashed, tally)
    if size and count < there + size:
        tally.more(-count, total=-(there + size))
        raise ConnectionError("the connection ended too early")
    if hashed.hexdigest() != wanted.sha256:
        tally.more(-count, total=-(there + size))
        files.remove(partial)
        if there:
            raise ConnectionError("what was begun and what came do not fit")
        raise _another(hashed, wanted)
    partial.replace(wanted.file)


def _named(url: str) -> str:
    """Where that is, without the user, the password and the token that may stand in it."""
    parts = urlsplit(url)
    return str(_here(url) or parts.hostname or parts.path.rpartition("/")[2] or parts.scheme)


def _here(url: str) -> Path | None:
    """The file of this machine that a url names: an index may be a folder of wheels, on a disk that all nodes have."""
    parts = urlsplit(url)
    return files.named_by(url) if parts.scheme == "file" and parts.netloc in ("", "localhost") else None


def _copy(here: Path, wanted: Wanted, tally: _Tally) -> None:
    if not here.is_file():  # a pipe would be waited for, and a device has no end
        raise _Wrong("there is no such file")
    try:
        source = here.open("rb")
    except OSError as error:
        raise _Wrong(error.strerror or "it cannot be read") from error
    partial, hashed, size = _partial(wanted), hashlib.sha256(), here.stat().st_size
    tally.more(0, total=size)
    with source, partial.open("wb") as stream:
        count = _written(iter(lambda: source.read(_BLOCK), b""), stream, hashed, tally)
    if hashed.hexdigest() != wanted.sha256:
        tally.more(-count, total=-size)
        files.remove(partial)
        raise _another(hashed, wanted)
    partial.replace(wanted.file)


def _partial(wanted: Wanted) -> Path:
    """Where a file lies until it is whole."""
    return wanted.file.with_name(f".{wanted.file.name}.partial")


def _written(blocks: Iterable[bytes], stream: BinaryIO, hashed: hashlib._Hash, tally: _Tally) -> int:
    """Write what comes; returns how many bytes that were."""
    count = 0
    for block in blocks:
        if tally.stop.is_set():
            raise _Stopped
        stream.write(block)
        hashed.update(block)
        count += len(block)
        tally.more(len(block))
    return count


def _another(hashed: hashlib._Hash, wanted: Wanted) -> _Wrong:
    return _Wrong(f"its sha256 is {hashed.hexdigest()}, not {wanted.sha256}")


def _begun(partial: Path) -> tuple[hashlib._Hash, int]:
    """What an earlier attempt left: its hash so far, and its bytes."""
    hashed = hashlib.sha256()
    try:
        with partial.open("rb") as stream:
            while block := stream.read(_BLOCK):
                hashed.update(block)
            return hashed, stream.tell()
    except FileNotFoundError:
        return hashed, 0


def _goes_on(answer: Response, there: int) -> bool:
    return answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {there}-")


class _Configured(Session):
    """Asks every request with the same settings: of a session's own, those of the environment would be the stronger."""

    settings: Mapping[str, Any]

    def request(self, *args: Any, **kwargs: Any) -> Response:
        # It writes the environment's proxies into the mapping that it is given.
        return super().request(*args, **{**kwargs, **self.settings, "proxies": dict(self.settings["proxies"])})


@contextmanager
def session(*, trust: bool | str = True, proxies: Mapping[str, str] | None = None) -> Iterator[Session]:
    """For requests with the settings that `fetch` has."""
    if trust is False:
        disable_warnings(InsecureRequestWarning)  # the user has said so, and each request would tell it
    with _Configured() as made:
        made.settings = {"verify": trust, "proxies": proxies or {}}
        made.mount("https://", (_SystemTrust if trust is True else HTTPAdapter)(pool_maxsize=AT_ONCE))
        made.mount("http://", HTTPAdapter(pool_maxsize=AT_ONCE))
        yield made


def _plain(error: Exception) -> str:
    """The kind of an error in words; its own text may quote an address with a password."""
    kinds = {
        exceptions.SSLError: "its certificate is not trusted",
        exceptions.ProxyError: "the proxy does not let us through",
        exceptions.Timeout: "it does not answer",
        exceptions.ConnectionError: "it cannot be reached",
        exceptions.HTTPError: "it answers with an error",
    }
    return next((said for kind, said in kinds.items() if isinstance(error, kind)), "the connection broke")
