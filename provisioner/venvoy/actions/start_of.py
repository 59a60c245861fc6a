"""The one door for what runs in an environment: a container is started within what the administrator allows."""

from __future__ import annotations

from dataclasses import replace

from .. import runtimes, settings
from ..model import Command, Environment, Job
from ..runtimes.inside import container_of, reached
from ..settings import Policy
from .permission import online, within_policy, working_folder


def start_of(env: Environment, job: Job, policy: Policy | None = None) -> Command:
    """How the job is started in the environment; `policy` is that of this machine where none is given.

    What the environment's config.yaml says of a container was written by its user, so it is looked at anew each time.
    Raises NotPermitted, and RuntimeUnavailable for what the runtime cannot give.
    """
    if env.container is None:
        return runtimes.get(env.runtime).command(env, job)
    policy = settings.policy() if policy is None else policy
    env = within_policy(env, policy)
    if policy.images is not None:
        from .permitted_image import permitted_image  # noqa: PLC0415  # few machines have such a policy

        permitted_image(env.runtime, container_of(env).image, policy.images)
    if job.online:
        env = online(env, policy)
    if job.cwd is not None:
        folder = reached(container_of(env), job.cwd)
        job = replace(job, cwd=folder, mounts=(*working_folder(env, folder, policy), *job.mounts))
    return runtimes.get(env.runtime).command(env, job)
