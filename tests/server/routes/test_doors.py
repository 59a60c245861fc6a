"""Who may in, with what, and how far."""

import json
import re
from pathlib import Path

import pytest
from jupyter_server.auth import Authorizer
from ruamel.yaml import YAML
from tornado.httpclient import HTTPClientError

import venvoy.frontends.server
from venvoy.frontends.server.routes import BODY, ROUTES

FILE = Path(venvoy.frontends.server.__file__).with_name("openapi.yaml")
SAID = YAML(typ="safe").load(FILE)
METHODS = ("get", "post", "delete", "put", "patch")
EXAMPLES = {"name": "demo", "id": "0" * 16}


def _operations():
    for path, item in SAID["paths"].items():
        filled = re.sub(r"\{(\w+)\}", lambda found: EXAMPLES[found[1]], path)
        for method in METHODS:
            if method in item:
                yield pytest.param(method.upper(), filled, id=item[method]["operationId"])


EVERY = list(_operations())


class Viewers(Authorizer):
    """Lets everybody look and nobody change anything of venvoy."""

    def is_authorized(self, handler, user, action, resource):  # noqa: ARG002  # Jupyter's signature
        return resource != "venvoy" or action == "read"


class Strangers(Authorizer):
    """Keeps everybody from what is venvoy's, and lets them at all else."""

    def is_authorized(self, handler, user, action, resource):  # noqa: ARG002  # Jupyter's signature
        return resource != "venvoy"


@pytest.fixture
def jp_server_config(jp_server_config, request):
    chosen = getattr(request, "param", None)
    if chosen:
        jp_server_config["ServerApp"]["authorizer_class"] = chosen
    return jp_server_config


async def _fetched(http_server_client, jp_base_url, method, path, headers=None, body=None):
    words = {"method": method, "headers": headers or {}, "follow_redirects": False}
    if method in ("POST", "PUT", "PATCH"):
        words["body"] = body if body is not None else "{}"
    try:
        answer = await http_server_client.fetch(jp_base_url.rstrip("/") + path, **words)
    except HTTPClientError as error:
        return error.code, error.response
    return answer.code, answer


async def _logged_in(http_server_client, jp_serverapp, jp_base_url):
    """The cookies of a browser that has opened the server's page."""
    token = jp_serverapp.identity_provider.token
    _, page = await _fetched(http_server_client, jp_base_url, "GET", f"/login?token={token}")
    return "; ".join(each.partition(";")[0] for each in page.headers.get_list("Set-Cookie"))


def test_every_route_is_described_and_every_description_is_a_route():
    patterns = [re.compile(pattern + "$") for pattern, _ in ROUTES[:-1]]
    described = [each.values[1] for each in EVERY]

    assert all(any(pattern.match(path) for path in described) for pattern in patterns)
    assert all(any(pattern.match(path) for pattern in patterns) for path in described)


@pytest.mark.parametrize(("method", "path"), EVERY)
async def test_nobody_is_let_in_without_a_token(http_server_client, jp_serverapp, jp_base_url, method, path):
    status, answer = await _fetched(http_server_client, jp_base_url, method, path)

    assert status == 403
    assert b"demo" not in answer.body


@pytest.mark.parametrize("jp_server_config", [Strangers], indirect=True)
@pytest.mark.parametrize(("method", "path"), EVERY)
async def test_whoever_may_not_look_is_told_nothing(
    http_server_client, jp_serverapp, jp_auth_header, jp_base_url, method, path
):
    status, answer = await _fetched(http_server_client, jp_base_url, method, path, jp_auth_header)

    assert status == 403
    assert "message" in json.loads(answer.body)


@pytest.mark.parametrize("jp_server_config", [Viewers], indirect=True)
@pytest.mark.parametrize(("method", "path"), EVERY)
async def test_whoever_may_look_alone_can_change_nothing(
    http_server_client, jp_serverapp, jp_auth_header, jp_base_url, method, path
):
    status, _ = await _fetched(http_server_client, jp_base_url, method, path, jp_auth_header)

    assert (status == 403) == (method != "GET")


@pytest.mark.parametrize("jp_server_config", [Viewers], indirect=True)
async def test_whoever_may_look_alone_is_told_so(server):
    assert (await server.get("about"))["may"] == {"view": True, "change": False}


@pytest.mark.parametrize(("method", "path"), [each for each in EVERY if each.values[0] != "GET"])
async def test_a_cookie_alone_changes_nothing(http_server_client, jp_serverapp, jp_base_url, method, path):
    """Another site can have a browser send its cookies, and not the token that is in one of them."""
    cookies = await _logged_in(http_server_client, jp_serverapp, jp_base_url)
    looked, _ = await _fetched(http_server_client, jp_base_url, "GET", "/venvoy/about", {"Cookie": cookies})
    status, answer = await _fetched(http_server_client, jp_base_url, method, path, {"Cookie": cookies})

    assert cookies
    assert looked == 200
    assert status == 403
    assert "_xsrf" in json.loads(answer.body)["message"]


@pytest.mark.parametrize(("method", "path"), EVERY)
async def test_pages_of_others_are_refused(http_server_client, jp_serverapp, jp_base_url, method, path):
    cookies = await _logged_in(http_server_client, jp_serverapp, jp_base_url)
    headers = {"Cookie": cookies, "Origin": "https://evil.example", "Referer": "https://evil.example/page"}
    status, _ = await _fetched(http_server_client, jp_base_url, method, path, headers)

    assert status in (403, 404)


@pytest.mark.parametrize("path", [each.values[1] for each in EVERY if each.values[0] == "POST"])
async def test_a_body_that_is_too_large_is_refused(server, path):
    status, said = await server.ask("POST", path.removeprefix("/venvoy/"), b" " * (BODY + 1))

    assert status == 413
    assert str(BODY) in said["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("../secret.ipynb", 403),
        ("a/../../secret.ipynb", 403),
        ("a/b/../../../x.ipynb", 403),
        (".hidden/a.ipynb", 403),
        ("a/.hidden.ipynb", 403),
        ("/", 400),
        (" ", 400),
        ("x" * 4097, 400),
    ],
)
@pytest.mark.parametrize("route", ["notebook", "environments/demo/packages"])
async def test_no_path_leads_out(server, demo, route, path, status):
    (server.root.parent / "secret.ipynb").write_text('{"nbformat": 4, "metadata": {"venvoy": {"environment": "far"}}}')
    code, said = await server.ask("GET", route, path=path)

    assert code == status, said
    assert said["message"]
    assert "far" not in json.dumps(said)


async def test_a_path_that_begins_with_a_slash_is_one_of_the_servers_folder(server, write):
    write("a.ipynb", {"venvoy": {"environment": "far"}})

    assert (await server.get("notebook", path="/a.ipynb"))["recorded"]["environment"] == "far"


ELSEWHERE = {
    "ServerApp": {
        "jpserver_extensions": {"venvoy.frontends.server": True},
        "contents_manager_class": "jupyter_server.services.contents.manager.AsyncContentsManager",
    }
}


@pytest.mark.parametrize("jp_server_config", [ELSEWHERE])
async def test_where_notebooks_are_no_files_no_path_is_one_of_this_machine(server, demo, write):
    file = str(write("a.ipynb", {"venvoy": {"environment": "demo"}}))

    said = await server.get("notebook", path=file)
    wish = {"verb": "export", "environment": "demo", "words": ["yaml", "-o", "x.yml"], "notebook": file}
    written, _ = await server.ask("POST", "jobs", wish)
    read, _ = await server.ask("GET", "environments/demo/diff", **{"from": "/etc/passwd", "to": "now"})
    job = await server.begin("freeze", "demo", notebook=file)

    assert (said["state"]["kind"], said["recorded"]) == ("unmanaged", None)
    assert (written, read) == (400, 400)
    assert job["notebook"] is None
    await server.ask("DELETE", f"jobs/{job['id']}")
    await server.ended(job["id"])


@pytest.mark.parametrize("point", ["../outside.json", "/etc/passwd", "a/../../outside.json"])
async def test_no_point_of_a_comparison_is_a_file_outside(server, demo, point):
    (server.root.parent / "outside.json").write_text("{}")
    status, said = await server.ask("GET", "environments/demo/diff", **{"from": point, "to": "now"})

    assert (status, said["kind"]) == (403, "NotPermitted")


@pytest.mark.parametrize(
    ("route", "query"),
    [
        ("environments/demo/history", {"last": "0"}),
        ("environments/demo/history", {"last": "1001"}),
        ("environments/demo/history", {"last": "-1"}),
        ("environments/demo/history", {"last": "\u0663"}),
        ("environments/demo/history", {"before": "x"}),
        ("environments/demo/history", {"nonsense": "1"}),
        ("environments/demo/diff", {"from": "x" * 201}),
        ("environments/demo/diff", {"from": "--help"}),
        ("environments/demo/diff", {"from": "no such thing"}),
        ("environments/demo/plan", {}),
        ("environments/demo/plan", {"to": "999999"}),
        ("jobs/0000000000000000/log", {"offset": "x"}),
    ],
)
async def test_what_cannot_be_read_is_said_to_be_so(server, demo, route, query):
    status, said = await server.ask("GET", route, **query)

    assert (status, said["kind"]) == (400, "InvalidInput"), said


@pytest.mark.parametrize("route", ["environments/none", "environments/none/packages", "environments/none/history",
                                   "environments/none/diff", "environments/none/size"])  # fmt: skip
async def test_an_environment_that_is_not_there_is_not_found(server, route):
    status, said = await server.ask("GET", route)

    assert (status, said["kind"]) == (404, "EnvironmentNotFound")
    assert "venvoy list" in said["hint"]


@pytest.mark.parametrize(
    "route", ["nothing", "environments/..%2f..%2fetc", "environments/-x", "jobs/xyz", "environments/a/b/c"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_is_no_route_is_a_problem_in_json(server, method, route):
    status, said = await server.ask(method, route)

    assert status == 404
    assert said["message"]


@pytest.mark.parametrize("route", ["about?1762178520000", "environments/demo/history?last=1&1762178520000"])
async def test_the_time_that_jupyterlab_writes_behind_an_address_is_taken(
    http_server_client, jp_auth_header, jp_base_url, demo, route
):
    path = f"/venvoy/{route}"
    status, _ = await _fetched(http_server_client, jp_base_url, "GET", path, jp_auth_header)
    wrong, _ = await _fetched(http_server_client, jp_base_url, "GET", f"{path}=1", jp_auth_header)

    assert (status, wrong) == (200, 400)


async def test_a_kernel_that_does_not_run_is_not_found(server):
    status, said = await server.ask("GET", "notebook", kernel="nope")

    assert (status, said["kind"]) == (404, "EnvironmentNotFound")


async def test_answers_are_kept_by_nobody(server, jp_fetch):
    answer = await jp_fetch("venvoy", "about")

    assert answer.headers["Cache-Control"] == "no-store"
