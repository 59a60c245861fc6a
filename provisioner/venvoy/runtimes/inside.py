"""What of this machine a container sees, and under which path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..model import Container, Environment, Job, Mount
from .host import r_libraries

PREFIX = "/venvoy/env"
"""Where an environment's prefix lies inside: one path for all runtimes, for programs have it written into them."""
_OF_PYTHON = {
    "VIRTUAL_ENV": PREFIX,
    "UV_PYTHON": f"{PREFIX}/bin/python",
    "PIP_PYTHON": f"{PREFIX}/bin/python",
    "R_LIBS_USER": f"{PREFIX}/R",
}
NOWHERE = Path("/nonexistent")
"""The prefix of an image alone."""
PASSED = (
    "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_NUMERIC", "LC_TIME", "LC_COLLATE", "LC_MESSAGES", "TZ", "TERM",
    "COLORTERM", "NO_COLOR", "USER", "LOGNAME", "JPY_SESSION_NAME",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES",
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX_STRATEGY", "UV_NO_INDEX",
    "UV_INSECURE_HOST", "UV_KEYRING_PROVIDER", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES",
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "CUDA_VISIBLE_DEVICES",
    "SLURM_JOB_ID", "SLURM_JOB_NAME", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_CPUS_PER_TASK",
    "SLURM_CPUS_ON_NODE", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_MEM_PER_NODE", "PBS_JOBID", "PBS_ARRAY_INDEX",
    "NCPUS", "LSB_JOBID", "LSB_JOBINDEX", "JOB_ID", "SGE_TASK_ID", "NSLOTS",
)  # fmt: skip
"""The variables of whoever starts a container that are its affair, too; all others belong to this machine."""


CERTIFICATES = "/venvoy/certificates.pem"
"""Whom this machine trusts: an institution's own authorities are in its list, and in no image's."""
_CERTIFICATES = tuple(
    Path(each)
    for each in (
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    )
)
_TRUSTING = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def container_of(env: Environment) -> Container:
    """How the environment's image is run; every environment of such a runtime has it."""
    assert env.container is not None, env.name  # noqa: S101
    return env.container


def without_prefix(env: Environment) -> Environment:
    """The image, without what was installed on top of it."""
    return replace(env, prefix=NOWHERE)


def reached(container: Container, folder: Path) -> Path:
    """The folder by a path that leads there inside, too: a link in the home folder may lead out of what is mounted."""
    home = container.home
    if home is None or not folder.is_relative_to(home):
        return folder
    real = folder.resolve()
    return folder if real.is_relative_to(home.resolve()) else real


def inside(env: Environment, word: str) -> str:
    """A word of a command as it is meant inside: paths in the prefix are those of PREFIX there."""
    here = str(env.prefix)
    if word == here or word.startswith(here + os.sep):
        return PREFIX + word[len(here) :]
    return word


def mounts(env: Environment, job: Job) -> tuple[Mount, ...]:
    """All that is seen inside, what lies in another mount after it; all but the prefix at the path that it has here."""
    container = container_of(env)
    found: dict[str, Mount] = {}
    for each in (*_own(env, job, container.home), *container.mounts, *job.mounts):
        found[each.target] = each
    return tuple(sorted(found.values(), key=lambda each: each.target))


def _own(env: Environment, job: Job, home: Path | None) -> Iterator[Mount]:
    if home is not None:
        yield Mount(source=home, target=str(home))
    if job.cwd not in (None, Path("/")) and not (home and job.cwd.is_relative_to(home)):
        yield Mount(source=job.cwd, target=str(job.cwd))
    if env.prefix != NOWHERE:
        yield Mount(source=env.prefix, target=PREFIX, read_only=env.read_only)
    if users := container_of(env).users:
        for name in ("passwd", "group"):
            yield Mount(source=users / name, target=f"/etc/{name}", read_only=True)
    if certificates := next((each for each in _CERTIFICATES if each.is_file()), None):
        yield Mount(source=certificates, target=CERTIFICATES, read_only=True)
    for folder in (*job.search, *job.tools):
        yield Mount(source=folder, target=str(folder), read_only=True)


def variables(env: Environment, job: Job) -> dict[str, str]:
    """What is set inside beside the image's own: the job's, and what makes installers act on the prefix alone."""
    said = {
        **(_OF_PYTHON if env.speaks("python") else {}),
        **(r_libraries(PREFIX, isolated=False) if env.speaks("r") else {}),
        **({"RETICULATE_PYTHON": f"{PREFIX}/bin/python"} if env.also else {}),
        # The home folder may have packages of this machine, which are for another Python.
        "PYTHONNOUSERSITE": "1",
        # Caches are in another mount, where nothing can be linked to.
        "UV_LINK_MODE": "copy",
        **(dict.fromkeys(_TRUSTING, CERTIFICATES) if any(map(Path.is_file, _CERTIFICATES)) else {}),
        **{name: inside(env, value) for name, value in job.variables.items() if value is not None},
    }
    return dict(sorted(said.items()))


def taken(job: Job) -> dict[str, None]:
    """The variables that the job takes away: none of them is passed on."""
    return {name: None for name, value in job.variables.items() if value is None}


def search(env: Environment, job: Job) -> tuple[str, ...]:
    """The folders of PATH inside."""
    image = container_of(env).image
    own = image.search or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return (*map(str, job.search), f"{PREFIX}/bin", *own.split(":"), *map(str, job.tools))
