"""The routes (openapi.yaml): each says who may, reads what is asked for, and has it answered in a thread."""

from __future__ import annotations

import asyncio
import json
import platform
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Any
from urllib.parse import quote

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import ensure_async, url_path_join
from tornado import web

from ...errors import (
    CommandFailed,
    EnvironmentExists,
    EnvironmentNotFound,
    InvalidInput,
    KernelUnusable,
    NotPermitted,
    RuntimeUnavailable,
    VenvoyError,
)
from .kernels import Kernel, attended, kernel_of, running, shared
from .rooms import Rooms
from .root import LONGEST, WORDS, TooMany
from .watch import told

RESOURCE = "venvoy"
BODY = 1 << 20
"""Bytes of a request's body that are read."""
LOG = 1 << 20
"""Bytes of a log that one answer has."""
_PIECE = 1 << 18
_STATUS: dict[type[Exception], int] = {
    EnvironmentNotFound: 404,
    EnvironmentExists: 409,
    InvalidInput: 400,
    NotPermitted: 403,
    KernelUnusable: 409,
    RuntimeUnavailable: 503,
    CommandFailed: 502,
    TooMany: 429,
    TimeoutError: 423,
}
_NAME = r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?)"
_ID = r"([0-9a-f]{16})"


def answered(function: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[None] | None]:
    """Have only those in who may, send what the method returns as JSON, and what it raises as a problem."""

    @wraps(function)
    async def method(self: _Route, *words: str) -> None:
        try:
            await asyncio.to_thread(self.rooms.open)
            answer = await function(self, *words)
        except (VenvoyError, TimeoutError) as error:
            self.problem(error)
        except OSError as error:
            self.problem(VenvoyError(f"{error.filename or 'the disk'}: {error.strerror or error}"))
        else:
            if answer is not None:
                self.finish(json.dumps(answer))

    return web.authenticated(authorized(method))


class _Route(APIHandler):
    auth_resource = RESOURCE

    @property
    def rooms(self) -> Rooms:
        found: Rooms = self.settings["venvoy"]
        return found

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler itself has it
        await super().prepare()
        if len(self.request.body) > BODY:
            raise web.HTTPError(413, f"a request may have {BODY} bytes")

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    def problem(self, error: VenvoyError | TimeoutError) -> None:
        """Say what failed, and what to do."""
        known = next((each for each in type(error).__mro__ if each in _STATUS), None)
        self.set_status(_STATUS[known] if known else 500)
        message = error.message if isinstance(error, VenvoyError) else "another process is at work in it"
        hint = error.hint if isinstance(error, VenvoyError) else "try again when it is done"
        kind = type(error).__name__ if isinstance(error, VenvoyError) else "Busy"
        self.finish(json.dumps({"message": message, "hint": hint or None, "kind": kind, "reason": None}))

    def asked(self, name: str, *, longest: int, default: str = "") -> str:
        """One word of the query. Raises InvalidInput for one that is empty, too long or there twice."""
        words = self.get_query_arguments(name, strip=False)
        if not words:
            return default
        if len(words) > 1 or not words[0].strip() or len(words[0]) > longest or "\0" in words[0]:
            raise InvalidInput(f"{name} must be one word of 1 to {longest} characters")
        return words[0]

    def number(self, name: str, *, least: int, most: int) -> int | None:
        """One number of the query, None where it is not there."""
        said = self.asked(name, longest=20)
        if not said:
            return None
        if not re.fullmatch(r"[0-9]{1,10}", said) or not least <= int(said) <= most:
            raise InvalidInput(f"{name} must be a number from {least} to {most}")
        return int(said)

    def only(self, *names: str) -> None:
        """Raise InvalidInput for a word of the query that is none of these."""
        known = {*names, "token", "_"}
        said = {name for name, values in self.request.query_arguments.items() if not _is_stamp(name, values)}
        if unknown := sorted(said - known):
            raise InvalidInput(f"unknown parameter {unknown[0]!r:.80}")

    def kernel(self, path: str = "") -> Kernel | None:
        """The kernel that the query names, or else that of the notebook's session."""
        said = self.asked("kernel", longest=100)
        own = kernel_of(self.session_manager, path) if path else None
        wanted = said or own
        found = running(self.kernel_manager, wanted) if wanted else None
        if said and found is None:
            raise EnvironmentNotFound(f"no kernel {said!r} runs", hint="it may have ended: ask without it")
        only = found is not None and found.id == own and not shared(self.session_manager, own)
        return replace(found, of_session=only) if found else None


def _is_stamp(name: str, values: list[bytes]) -> bool:
    """Whether it is the time that JupyterLab writes behind the address of what is not to be kept ("?1762178520000")."""
    return re.fullmatch(r"[0-9]{1,20}", name) is not None and not any(values)


class About(_Route):
    @answered
    async def get(self) -> object:
        from ... import __version__
        from ...formats.registry import FORMATS, UNHASHED
        from ...settings import DEFAULT_NAME
        from ..requests import VERBS
        from ..requests.carrying import PACKED, filename

        self.only()
        store = self.rooms.store
        formats = [*FORMATS, *PACKED]
        return {
            "version": __version__,
            "api": 1,
            "host": platform.node(),
            "home": str(store.settings.home),
            "projects": str(store.settings.projects),
            "root": str(self.rooms.root.folder or ""),
            "default": DEFAULT_NAME,
            "may": {"view": True, "change": await self._may_change()},
            "verbs": [
                {
                    "name": each.name,
                    "help": each.parser.description or "",
                    "usage": each.parser.format_usage().removeprefix("usage: ").strip(),
                    "job": each.command is not None,
                    "magic": f"%env-{each.name}" if each.answer else None,
                }
                for each in VERBS.values()
            ],
            "formats": [
                {
                    "name": each,
                    "filename": filename("NAME", each),
                    "hashed": each not in UNHASHED and each not in PACKED,
                    "packed": each in PACKED,
                }
                for each in formats
            ],
            "limits": {"body": BODY, "words": WORDS, "jobs": self.rooms.most},
        }

    async def _may_change(self) -> bool:
        asked = self.authorizer.is_authorized(self, self.current_user, "write", RESOURCE)
        return bool(await ensure_async(asked))


class Notebook(_Route):
    @answered
    async def get(self) -> object:
        self.only("path", "kernel")
        path = self.asked("path", longest=LONGEST)
        kernel = self.kernel(path)
        ours = attended(self.kernel_manager)
        answer = await asyncio.to_thread(self.rooms.desk.notebook, path, kernel, ours)
        if (found := answer["environment"]) is not None:
            await asyncio.to_thread(self.rooms.watch.about, found["environment"]["name"])
        return answer


class Environments(_Route):
    @answered
    async def get(self) -> object:
        self.only()
        return await asyncio.to_thread(self.rooms.desk.environments)


class Environment(_Route):
    @answered
    async def get(self, name: str) -> object:
        self.only()
        if self.rooms.store.exists(name):
            await asyncio.to_thread(self.rooms.watch.about, name)
        return await asyncio.to_thread(self.rooms.desk.environment, name)


class Packages(_Route):
    @answered
    async def get(self, name: str) -> object:
        self.only("path", "kernel")
        path = self.asked("path", longest=LONGEST)
        return await asyncio.to_thread(self.rooms.desk.packages, name, path, self.kernel(path))


class History(_Route):
    @answered
    async def get(self, name: str) -> object:
        self.only("last", "before")
        last = self.number("last", least=1, most=1000) or 100
        before = self.number("before", least=1, most=1_000_000)
        return await asyncio.to_thread(self.rooms.desk.history, name, last=last, before=before)


class Diff(_Route):
    @answered
    async def get(self, name: str) -> object:
        self.only("from", "to")
        one = self.asked("from", longest=200, default="freeze")
        other = self.asked("to", longest=200, default="now")
        return await asyncio.to_thread(self.rooms.desk.diff, name, one, other)


class Plan(_Route):
    @answered
    async def get(self, name: str) -> object:
        self.only("to", "kernel")
        to = self.asked("to", longest=200)
        if not to:
            raise InvalidInput("it is not said where to", hint="?to=freeze")
        return await asyncio.to_thread(self.rooms.desk.plan, name, to, self.kernel())


class Size(_Route):
    @answered
    async def get(self, name: str) -> object:
        self.only()
        return await asyncio.to_thread(self.rooms.desk.size, name)


class _Jobs(_Route):
    def told(self, job: Any) -> dict[str, Any]:
        """A job as browsers are told of it."""
        return told(job, self.rooms.store.jobs, self.rooms.root)

    async def found(self, job: str) -> Any:
        """The job of that id."""
        found = await asyncio.to_thread(self.rooms.store.jobs.job, job)
        if found is None:
            raise web.HTTPError(404, f"there is no job {job}")
        return found


class Jobs(_Jobs):
    @answered
    async def get(self) -> object:
        self.only()
        found = await asyncio.to_thread(self.rooms.store.jobs.all)
        return {"jobs": await asyncio.to_thread(lambda: [self.told(each) for each in found])}

    @answered
    async def post(self) -> object:
        from .office import wish_from

        self.only()
        try:
            said = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"the body is no JSON: {error}") from error
        wish = wish_from(said, self.rooms.root)
        job = await asyncio.to_thread(self.rooms.office.begin, wish)
        await asyncio.to_thread(self.rooms.watch.about, wish.environment)
        self.set_status(202)
        self.set_header("Location", url_path_join(self.base_url, "venvoy/jobs", job.id))
        return self.told(job)


class Job(_Jobs):
    @answered
    async def get(self, job: str) -> object:
        self.only()
        found = await self.found(job)
        result = await asyncio.to_thread(self.rooms.store.jobs.result, job)
        return self.told(found) | {"result": result}

    @answered
    async def delete(self, job: str) -> object:
        self.only()
        found, jobs = await self.found(job), self.rooms.store.jobs
        if not found.open:
            await asyncio.to_thread(jobs.forget, job)
            self.set_status(204)
            self.finish()
            return None
        if not found.cancellable:
            raise KernelUnusable("this one can only be stopped where it was begun", hint="interrupt it there")
        await asyncio.to_thread(jobs.cancel, job)
        self.set_status(202)
        return self.told(found)


class Log(_Jobs):
    @answered
    async def get(self, job: str) -> object:
        self.only("offset")
        offset = self.number("offset", least=0, most=1_000_000_000) or 0
        await self.found(job)
        text, end, size = await asyncio.to_thread(self.rooms.store.jobs.log, job, offset=offset, limit=LOG)
        return {"text": text, "offset": end, "size": size}


class File(_Jobs):
    @answered
    async def get(self, job: str) -> object:
        self.only()
        await self.found(job)
        file = await asyncio.to_thread(self.rooms.store.jobs.file, job)
        if file is None:
            raise web.HTTPError(404, "it has made no file")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(file.name)}")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Length", str(file.stat().st_size))
        with file.open("rb") as stream:
            while piece := await asyncio.to_thread(stream.read, _PIECE):
                self.write(piece)
                await self.flush()
        self.finish()
        return None


class Nothing(_Route):
    """Every other path below ours: a problem as JSON, for those who may know."""

    async def _missing(self) -> object:
        raise web.HTTPError(404, "there is no such route")

    # One each: `authorized` remembers the action of the first method that it was called for.
    get, post, put = answered(_missing), answered(_missing), answered(_missing)
    patch, delete = answered(_missing), answered(_missing)


ROUTES = [
    (r"/venvoy/about", About),
    (r"/venvoy/notebook", Notebook),
    (r"/venvoy/environments", Environments),
    (rf"/venvoy/environments/{_NAME}", Environment),
    (rf"/venvoy/environments/{_NAME}/packages", Packages),
    (rf"/venvoy/environments/{_NAME}/history", History),
    (rf"/venvoy/environments/{_NAME}/diff", Diff),
    (rf"/venvoy/environments/{_NAME}/plan", Plan),
    (rf"/venvoy/environments/{_NAME}/size", Size),
    (r"/venvoy/jobs", Jobs),
    (rf"/venvoy/jobs/{_ID}", Job),
    (rf"/venvoy/jobs/{_ID}/log", Log),
    (rf"/venvoy/jobs/{_ID}/file", File),
    (r"/venvoy/.*", Nothing),
]
