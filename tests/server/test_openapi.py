"""What the description says of every route is so, for whatever a client may send: schemathesis against a real server."""

from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

import venvoy.frontends.server
from venvoy.frontends.server.office import MAKING

pytestmark = [pytest.mark.xdist_group("openapi"), pytest.mark.usefixtures("_extended")]
FILE = Path(venvoy.frontends.server.__file__).with_name("openapi.yaml")
REFUSED = ["400", "403", "404", "409", "413", "429"]
schema = schemathesis.openapi.from_path(
    FILE,
    config=schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSED}}}),
)
WANTED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
        "negative_data_rejection",
    ]
)
# The same examples in every run: what fails once fails again.
MANY = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def _tried(case, lab):
    # A parameter without any value is not sent, so nobody can refuse it.
    unsent = [] in dict(case.query or {}).values()
    checks = [each for each in WANTED if not (unsent and each.__name__ == "negative_data_rejection")]
    case.call_and_validate(
        base_url=lab.address, headers={"Authorization": f"token {lab.token}"}, checks=checks, timeout=60
    )


@schema.exclude(operation_id="begin").parametrize()
@MANY
def test_every_route_answers_as_it_is_described(case, lab):
    _tried(case, lab)


@schema.include(operation_id="begin").parametrize()
@MANY
def test_whatever_is_wished_is_refused_as_described(case, lab):
    if isinstance(case.body, dict) and case.body.get("verb") in tuple(MAKING):
        case.body["verb"] = "repair"  # of an environment that is not there
    _tried(case, lab)
