#!/bin/sh
# Installs venvoy from the clone this script lies in, for the user who runs it.
set -eu

usage() {
  cat <<'EOF'
Usage: sh install.sh [--prefix DIR] [--conda] [--no-quickstart]
       sh install.sh --uninstall [--prefix DIR]

Installs venvoy, from the clone beside this script, into a Python environment of its own, links the
command into ~/.local/bin, and runs 'venvoy quickstart'. Run it again to update: the new version is
built aside and takes over when it works. The clone is not needed afterwards.

  --prefix DIR      keep that environment in DIR (default: ~/.local/share/venvoy, or
                    $XDG_DATA_HOME/venvoy); the link stays in ~/.local/bin
  --conda           with the engine for conda environments (80 MB more); an update keeps it
  --no-quickstart   install only
  --uninstall       remove venvoy and its link; your environments and projects are kept
  -h, --help        show this

Needs Python 3.11 or newer, and no root, node or compiler. It never installs into a system Python and
never writes a shell file. As root, where Debian's python3 comes without venv, it installs python3-venv.

Exit codes: 0 done; 1 the installation failed and what was there before still works; 2 wrong usage;
3 no usable Python; 4 a folder cannot be written or something stands in the way; 5 venvoy is
installed, but the quickstart failed; 129, 130, 143 stopped by a signal.
EOF
}

say() {
  printf '%s\n' "$*"
}

fail() {
  code=$1
  shift
  printf 'install.sh: %s\n' "$*" >&2
  exit "$code"
}

have() {
  command -v "$1" >/dev/null 2>&1
}

short() {
  case $1 in
    "$HOME"/*) printf '~%s' "${1#"$HOME"}" ;;
    *) printf '%s' "$1" ;;
  esac
}

# --- what was asked for

parse() {
  quickstart=yes
  extras=lab
  uninstall=no
  prefix=
  while [ $# -gt 0 ]; do
    case $1 in
      --prefix)
        [ $# -ge 2 ] || fail 2 "--prefix needs a folder: sh install.sh --prefix DIR"
        prefix=$2
        shift
        [ -n "$prefix" ] || fail 2 "--prefix needs a folder: sh install.sh --prefix DIR"
        ;;
      --prefix=?*) prefix=${1#--prefix=} ;;
      --conda) extras=lab,conda ;;
      --no-quickstart) quickstart=no ;;
      --uninstall) uninstall=yes ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) fail 2 "unknown argument '$1'; see: sh install.sh --help" ;;
    esac
    shift
  done
}

locate() {
  if [ -z "${HOME:-}" ]; then
    HOME=$(eval "printf '%s' ~$(id -un)")
    export HOME
  fi
  case ${XDG_DATA_HOME:-} in
    /*) data=$XDG_DATA_HOME ;;
    *) data=$HOME/.local/share ;;
  esac
  bin=$HOME/.local/bin
  link=$bin/venvoy
  case $prefix in
    '') root=$data/venvoy ;;
    /*) root=$prefix ;;
    *) root=$(pwd)/$prefix ;;
  esac
  root=${root%/}
  log=$root/install.log
}

# points LINK PATTERN: whether LINK is a link to what PATTERN says, so that nobody else's file is touched.
points() {
  [ -L "$1" ] || return 1
  # shellcheck disable=SC2254  # a pattern is wanted
  case $(readlink "$1") in
    $2) ;;
    *) return 1 ;;
  esac
}

command_is_ours() {
  points "$link" '*/current/bin/venvoy'
}

installed() {
  points "$root/current" 'venv-20*Z-*'
}

# --- leaving: nothing half-made stays behind

new=
lock=
ticker=

cleanup() {
  stop_ticker
  [ -z "$new" ] || rm -rf "$new"
  [ -z "$lock" ] || rm -rf "$lock"
}

stop_ticker() {
  [ -n "$ticker" ] || return 0
  kill "$ticker" 2>/dev/null || :
  wait "$ticker" 2>/dev/null || :
  ticker=
}

trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

take_lock() {
  if ! mkdir "$root/.lock" 2>/dev/null; then
    owner=$(cat "$root/.lock/pid" 2>/dev/null || :)
    if [ -n "$owner" ] && kill -0 "$owner" 2>/dev/null; then
      fail 4 "another install.sh (process $owner) works on $(short "$root"): wait for it to end, then run this again"
    fi
    rm -rf "$root/.lock"
    mkdir "$root/.lock" || fail 4 "cannot write to $(short "$root"): name another folder with --prefix DIR"
  fi
  lock=$root/.lock
  echo $$ >"$lock/pid"
}

# step LABEL COMMAND...: runs COMMAND with its output in the log, and counts the seconds on a terminal.
step() {
  label=$1
  shift
  if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
    (
      seconds=0
      while :; do
        printf '\r%s ... %ss ' "$label" "$seconds"
        sleep 1
        seconds=$((seconds + 1))
      done
    ) &
    ticker=$!
  else
    say "$label ..."
  fi
  done_with=0
  printf '\n== %s\n' "$label" >>"$log"
  "$@" >>"$log" 2>&1 </dev/null || done_with=$?
  if [ -n "$ticker" ]; then
    stop_ticker
    printf '\n'
  fi
  return "$done_with"
}

# --- a Python that can make an environment

# One path a line, best first. An active venv stands for the Python it was made from; a conda environment
# comes last, as venvoy would go when it is removed.
pythons() {
  for name in python3 python3.13 python3.12 python3.14 python3.11 python; do
    command -v "$name" || :
  done >"$lock/candidates"
  for path in \
    /usr/bin/python3 /usr/bin/python3.1[1-9] /usr/local/bin/python3 /usr/local/bin/python3.1[1-9] \
    /opt/homebrew/bin/python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-9]*/bin/python3 \
    "$data"/uv/python/cpython-3.1[1-9]*/bin/python3 "$HOME"/.local/share/uv/python/cpython-3.1[1-9]*/bin/python3 \
    "${CONDA_PREFIX:-$HOME/miniforge3}"/bin/python3 \
    "$HOME"/miniforge3/bin/python3 "$HOME"/mambaforge/bin/python3 "$HOME"/miniconda3/bin/python3 \
    "$HOME"/anaconda3/bin/python3 /opt/conda/bin/python3 /opt/miniforge3/bin/python3 /opt/miniconda3/bin/python3; do
    [ ! -x "$path" ] || printf '%s\n' "$path"
  done >>"$lock/candidates"
  : >"$lock/pythons"
  : >"$lock/passing"
  : >"$lock/seen"
  while IFS= read -r path; do
    "$path" -I -c '
import os, sys
if sys.version_info >= (3, 11) and sys.implementation.name == "cpython":
    import ssl, zlib
    base = getattr(sys, "_base_executable", None) or sys.executable
    print(base, os.path.realpath(base), sep="\n")
' 2>/dev/null </dev/null >"$lock/answer" || continue
    { IFS= read -r path && IFS= read -r real; } <"$lock/answer" || continue
    grep -qxF -e "$real" "$lock/seen" && continue
    printf '%s\n' "$real" >>"$lock/seen"
    case $path in
      */envs/*) printf '%s\n' "$path" >>"$lock/passing" ;;
      *) printf '%s\n' "$path" >>"$lock/pythons" ;;
    esac
  done <"$lock/candidates"
  cat "$lock/passing" >>"$lock/pythons"
  cat "$lock/pythons"
}

find_uv() {
  for uv in "$(command -v uv || :)" "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv"; do
    [ ! -x "$uv" ] || return 0
  done
  return 1
}

with_venv() {
  "$1" -I -c 'import venv, ensurepip' && "$1" -I -m venv "$new"
}

# Debian's python3-pip without python3-venv: an environment without pip, filled by any pip of 22.3 or newer.
with_pip() {
  "$1" -I -m venv --without-pip "$new" || return 1
  while IFS= read -r other; do
    "$other" -m pip --python "$new/bin/python" install pip && return 0
  done <"$lock/pythons"
  for other in pip3 pip; do
    have "$other" && "$other" --python "$new/bin/python" install pip && return 0
  done
  return 1
}

with_virtualenv() {
  "$1" -m virtualenv "$new" || { have virtualenv && virtualenv --python "$1" "$new"; }
}

# uv reads no pip configuration, so pip installs wherever uv can bring it.
with_uv() {
  find_uv || return 1
  "$uv" venv --seed --python "$1" "$new" && return 0
  rm -rf "$new"
  "$uv" venv --python "$1" "$new"
}

make_environment() {
  for way in with_venv with_pip with_virtualenv with_uv; do
    while IFS= read -r python; do
      rm -rf "$new"
      echo "-- $way $python"
      "$way" "$python" </dev/null && [ -x "$new/bin/python" ] && return 0
    done <"$lock/pythons"
  done
  rm -rf "$new"
  [ ! -s "$lock/pythons" ] && with_uv '>=3.11'
}

apt_offers() {
  LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p'
}

# The package with a venv of Python 3.11 or newer; the usual name where apt has no lists to tell.
apt_package() {
  for package in python3-venv python3.14-venv python3.13-venv python3.12-venv python3.11-venv; do
    case $(apt_offers "$package") in
      3.1[1-9][!0-9]* | 3.[2-9][0-9]*) printf '%s' "$package" && return 0 ;;
    esac
  done
  case $(apt_offers python3-venv) in
    '' | '(none)') printf 'python3-venv' ;;
    *) return 1 ;;
  esac
}

apt_install() {
  apt-get update || :
  package=$(apt_package) || return 1
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$package"
}

# The command that brings a Python with venv on this system.
system_command() {
  if have apt-get; then
    package=$(apt_package) || return 1
    set -- apt-get install "$package"
  elif have dnf; then
    set -- dnf install python3.12
  elif have zypper; then
    case $(sed -n 's/^VERSION_ID=//p' /etc/os-release) in
      *15.*) set -- zypper install python311 ;;
      *) set -- zypper install python313 ;;
    esac
  elif have pacman; then
    set -- pacman -S python
  elif have apk; then
    set -- apk add python3
  elif have brew; then
    printf 'brew install python'
    return
  else
    return 1
  fi
  if [ "$(id -u)" = 0 ]; then
    printf '%s' "$*"
  elif have sudo; then
    printf 'sudo %s' "$*"
  else
    printf "su -c '%s'" "$*"
  fi
}

no_python() {
  if [ -s "$lock/pythons" ]; then
    IFS= read -r python <"$lock/pythons"
    what="$python comes without venv and there is no pip, virtualenv or uv to do its work"
  else
    what="no Python 3.11 or newer was found"
  fi
  command=$(system_command) ||
    fail 3 "$what: install Python 3.11 or newer (https://www.python.org/downloads/), then run this again"
  fail 3 "$what: run \"$command\", then run this again"
}

environment() {
  pythons >>"$log"
  step "Making an environment in $(short "$root")" make_environment && return 0
  if [ "$(id -u)" = 0 ] && have apt-get; then
    step "Installing Python's venv with apt-get" apt_install || show_log
    pythons >>"$log"
    step "Making an environment in $(short "$root")" make_environment && return 0
  fi
  no_python
}

# --- installing

show_log() {
  tail -n 15 "$log" | sed 's/^/  | /' >&2
}

writable() {
  mkdir -p "$1" 2>/dev/null && [ -w "$1" ]
}

check_folders() {
  case $root in
    *[:\$\`\"\\]*) fail 4 "$root has one of : \$ \` \" \\, which break the scripts of a Python environment: name another folder with --prefix DIR" ;;
  esac
  writable "$bin" ||
    fail 4 "cannot write to $bin: make it a folder that you can write to, or set HOME to one that you can"
  writable "$root" ||
    fail 4 "cannot write to $root: name another folder with --prefix DIR"
  if { [ -e "$link" ] || [ -L "$link" ]; } && ! command_is_ours; then
    fail 4 "$(short "$link") is there and is not this script's: remove or rename it, then run this again"
  fi
  if { [ -e "$root/current" ] || [ -L "$root/current" ]; } && ! installed; then
    fail 4 "$(short "$root")/current is there and is not this script's: name another folder with --prefix DIR"
  fi
}

# What an active environment or a kernel sets would send the installation elsewhere.
forget_environment() {
  unset VIRTUAL_ENV PYTHONHOME PYTHONPATH PIP_PYTHON PIP_PREFIX PIP_TARGET PIP_ROOT UV_PYTHON || :
  # a machine from which npm's registry is not reached gets all but the sidebar
  export VENVOY_LABEXTENSION="${VENVOY_LABEXTENSION:-optional}"
  export PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
  export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" UV_NATIVE_TLS="${UV_NATIVE_TLS:-true}"
}

install_package() {
  ! "$root/current/bin/python" -I -c 'import rattler' 2>/dev/null || extras=lab,conda
  if "$new/bin/python" -I -m pip --version; then
    "$new/bin/python" -I -m pip install --progress-bar off "${source}[$extras]"
  else
    find_uv && "$uv" pip install --python "$new/bin/python" "${source}[$extras]"
  fi
}

# Scripts name the Python of `current`, so that what a kernelspec remembers outlives an update.
settle_scripts() {
  "$new/bin/python" -I -c '
import os, pathlib, sys
made, stable = map(os.fsencode, sys.argv[1:])
for script in pathlib.Path(sys.argv[1], "bin").iterdir():
    text = b"" if script.is_symlink() else script.read_bytes()
    if text.startswith(b"#!") and made in text:
        script.write_bytes(text.replace(made, stable))
' "$new" "$root/current"
}

# repoint LINK TARGET: one rename, so that LINK is never missing.
repoint() {
  rm -f "$1.new"
  ln -s "$2" "$1.new"
  "$made/bin/python" -I -c 'import os, sys; os.replace(*sys.argv[1:])' "$1.new" "$1"
}

# remove_versions NAME: all but NAME.
remove_versions() {
  for version in "$root"/venv-20*Z-*; do
    [ "$version" = "$root/$1" ] || rm -rf "$version"
  done
}

version_of() {
  "$1" --version 2>/dev/null </dev/null | sed 's/.*[ ,]//'
}

install() {
  check_folders
  take_lock
  forget_environment
  if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
    say "Note: this installs for $(id -un) in $HOME; without sudo it installs for $SUDO_USER."
  fi
  before=
  if [ -x "$root/current/bin/venvoy" ]; then
    before=$(version_of "$root/current/bin/venvoy")
  fi
  earlier=
  if command_is_ours; then
    earlier=$(readlink "$link")
    earlier=${earlier%/current/bin/venvoy}
  fi
  current=$(readlink "$root/current" 2>/dev/null || :)
  remove_versions "$current"

  new=$root/venv-$(date -u +%Y%m%dT%H%M%SZ)-$$
  : >"$log"
  environment
  step "Installing venvoy with $("$new/bin/python" -c 'import platform, sys
print("Python", platform.python_version(), "from", sys.base_prefix)')" install_package || {
    show_log
    fail 1 "the packages could not be installed${before:+ and venvoy $before stays in place}: mend what the lines above name (all of them: $(short "$log")), then run this again"
  }
  after=$(version_of "$new/bin/venvoy")
  [ -n "$after" ] || {
    "$new/bin/venvoy" --version >"$log" 2>&1 </dev/null || :
    show_log
    fail 1 "the new venvoy does not start${before:+ and venvoy $before stays in place}: please report the lines above"
  }
  settle_scripts

  made=$new
  new=
  repoint "$root/current" "${made##*/}"
  repoint "$link" "$root/current/bin/venvoy"
  remove_versions "${made##*/}"
  rm -f "$log"
  rm -rf "$lock"
  lock=
  case $before in
    '') say "Installed venvoy $after: $(short "$link")" ;;
    "$after") say "Installed venvoy $after anew: $(short "$link")" ;;
    *) say "Updated venvoy $before to $after: $(short "$link")" ;;
  esac
  if [ "$VENVOY_LABEXTENSION" != no ] && [ ! -f "$root/current/share/jupyter/labextensions/venvoy/package.json" ]; then
    say "Note: it is without its sidebar for JupyterLab, which could not be built here; all else works. With npm's registry in reach, run this again."
  fi
  if [ -n "$earlier" ] && [ "$earlier" != "$root" ] && [ -d "$earlier" ]; then
    say "Note: an earlier installation is still there; to remove it: sh install.sh --uninstall --prefix '$earlier'"
  fi
}

# --- afterwards

# shellcheck disable=SC2016  # the lines are for the user's shell to expand
path_line() {
  case $1 in
    bash) say '  bash: echo '\''export PATH="$HOME/.local/bin:$PATH"'\'' >> ~/.bashrc' ;;
    zsh) say '  zsh:  echo '\''export PATH="$HOME/.local/bin:$PATH"'\'' >> ~/.zshrc' ;;
    fish) say '  fish: fish_add_path ~/.local/bin' ;;
  esac
}

# shellcheck disable=SC2088  # a tilde to be read
explain_path() {
  case :$PATH: in
    *:"$bin":* | *:"$bin"/:*)
      found=$(command -v venvoy || :)
      [ "$found" = "$link" ] || [ "$found" = "$bin//venvoy" ] ||
        say "Note: 'venvoy' still means $found, which comes before ~/.local/bin on your PATH."
      return
      ;;
  esac
  say "~/.local/bin is not on your PATH yet. The line for your shell puts it there, for new terminals:"
  shell=${SHELL:-}
  shell=${shell##*/}
  path_line "$shell"
  for other in bash zsh fish; do
    [ "$other" = "$shell" ] || path_line "$other"
  done
}

run_quickstart() {
  if [ "$quickstart" = no ]; then
    say "Next: venvoy quickstart"
    return
  fi
  say "Running: venvoy quickstart"
  "$link" quickstart || fail 5 "venvoy is installed, but its quickstart failed: see above, then try 'venvoy quickstart' again"
}

uninstall() {
  if [ -z "$prefix" ] && ! installed && command_is_ours; then
    root=$(readlink "$link")
    root=${root%/current/bin/venvoy}
  fi
  set -- "$root"/venv-20*Z-*
  if ! installed && [ ! -d "$1" ] && [ ! -f "$log" ]; then
    say "Nothing to remove: venvoy is not installed in $(short "$root")."
    return
  fi
  take_lock
  if command_is_ours && [ "$(readlink "$link")" = "$root/current/bin/venvoy" ]; then
    rm -f "$link"
  fi
  rm -f "$root/current" "$root/current.new" "$log"
  remove_versions ''
  rm -rf "$lock"
  lock=
  rmdir "$root" 2>/dev/null || :
  say "Removed venvoy from $(short "$root")."
  environments=${VENVOY_HOME:-$HOME/.venvoy}
  projects=${VENVOY_PROJECTS:-$HOME/venvoy-projects}
  [ ! -d "$environments" ] || say "Kept your environments: $(short "$environments")"
  [ ! -d "$projects" ] || say "Kept their records: $(short "$projects")"
  if [ -d "$environments" ]; then
    say "Their kernels start again when venvoy is installed again."
  fi
}

main() {
  parse "$@"
  locate
  if [ "$uninstall" = yes ]; then
    uninstall
    return
  fi
  source=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
  grep -q '^name = "venvoy"' "$source/pyproject.toml" 2>/dev/null ||
    fail 2 "there is no venvoy beside this script: run it from a clone of the repository, as 'sh install.sh'"
  install
  explain_path
  run_quickstart
}

main "$@"
