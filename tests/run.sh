#!/bin/sh
# Runs every check of the project in a venv of its own; with arguments, only pytest, which is given them.
#
#   sh tests/run.sh                      everything
#   sh tests/run.sh tests/test_store.py  these tests
#
# VENVOY_TEST_VENV moves the venv (tests/.venv), PYTHON names the Python to make it with. Where CI=true a
# test may only be skipped for a reason that holds everywhere. Exit code 0 when all is well.
set -eu
cd "$(dirname -- "$0")/.."

# COMMAND:PACKAGE as Debian calls it: a linter for shell, the shells that `venvoy activate` speaks to, and the rest.
SYSTEM="python3:python3 git:git shellcheck:shellcheck fish:fish zsh:zsh ps:procps"
PYTHONS="3.9 3.10 3.11 3.12 3.13"

venv=${VENVOY_TEST_VENV:-tests/.venv}
results=
report=

heading() {
  printf '\n== %s\n' "$*"
}

fail() {
  printf 'tests/run.sh: %s\n' "$*" >&2
  exit 2
}

have() {
  command -v "$1" >/dev/null 2>&1
}

host_python() {
  for name in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && printf '%s' "$name" && return
  done
  fail "no Python 3.11 or newer: name one with PYTHON=/path/to/python3"
}

# bring PACKAGE...: through apt where we may, otherwise say what is missing.
bring() {
  if [ "$(id -u)" = 0 ] && have apt-get; then
    echo "installing with apt-get: $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"; } >/dev/null ||
      fail "apt-get could not install $*"
  else
    echo "missing (Debian's names): $*"
  fi
}

system_packages() {
  set --
  for pair in $SYSTEM; do
    have "${pair%%:*}" || set -- "$@" "${pair#*:}"
  done
  [ $# -eq 0 ] || bring "$@"
}

interpreters() {
  for wanted in $PYTHONS; do
    found=
    for path in "$(command -v "python$wanted" || :)" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$wanted".*/bin/python; do
      # a pyenv shim may be there without the version behind it
      if [ -x "$path" ] && "$path" -c '' 2>/dev/null; then
        found=$path
        break
      fi
    done
    printf 'Python %-5s %s\n' "$wanted" "${found:-not here}"
  done
}

dependencies() {
  if [ ! -x "$venv/bin/python" ] && ! "$python" -c 'import ensurepip' 2>/dev/null; then
    bring python3-venv
  fi
  "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    "$python" -m venv --clear "$venv" || fail "no venv with $python: install its venv module (Debian: python3-venv)"
  "$venv/bin/python" -c 'import uv' 2>/dev/null ||
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
  # an institution's own certificates are the system's, not uv's
  UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" \
    --editable . --group test --group lint
}

# stage NAME COMMAND...: runs it and remembers how it went.
stage() {
  name=$1
  shift
  heading "$name"
  if "$@"; then
    results="${results}ok      $name
"
  else
    results="${results}FAILED  $name
"
    failed=yes
  fi
}

leave() {
  [ -z "$report" ] || rm -rf "$report"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# An active environment, or the kernel whose terminal this is, would send installations elsewhere.
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH PIP_PYTHON UV_PYTHON || :

heading "what is here"
system_packages
python=$(host_python)
interpreters
heading "dependencies ($venv)"
dependencies
PATH=$(cd "$venv/bin" && pwd):$PATH
export PATH
python --version
if [ "${CI:-}" = true ]; then
  set -- --strict-skips "$@"
  everything=$([ $# -gt 1 ] || echo yes)
else
  everything=$([ $# -gt 0 ] || echo yes)
fi

if [ -z "$everything" ]; then
  heading pytest
  pytest "$@"
  exit
fi

failed=no
report=$(mktemp -d)
stage "ruff check" ruff check
stage "ruff format" ruff format --check
stage "mypy" mypy
stage "lint-imports" lint-imports
stage "shellcheck" shellcheck install.sh tests/run.sh .ci/run binder/postBuild
stage "pytest" pytest tests -n 2 --dist loadgroup --junitxml "$report/pytest.xml" "$@"

heading summary
printf '%s' "$results"
python - "$report/pytest.xml" <<'EOF'
import sys
from pathlib import Path
from xml.etree import ElementTree

report = Path(sys.argv[1])
if not report.exists():
    print("0 passed, 1 failed")
    sys.exit()
count = {key: sum(int(suite.get(key, 0)) for suite in ElementTree.parse(report).iter("testsuite"))
         for key in ("tests", "failures", "errors", "skipped")}
bad = count["failures"] + count["errors"]
print(f"{count['tests'] - bad - count['skipped']} passed, {bad} failed, {count['skipped']} skipped")
EOF
[ "$failed" = no ]
