#!/bin/sh
# Install and start the container runtimes that the tests run against, on a bare Debian 12: needs root, no systemd.
#
#   sh tests/containers/install.sh [--user NAME] [--cache DIR] [--also "PACKAGE ..."]
#
# Docker, Podman and a registry are Debian's. Apptainer is not in Debian 12: it comes from unstable, with its C library beside it,
# in /opt/venvoy-tests; `singularity` is its other name. What is there already is left alone, so a second run takes no
# time. --user prepares an unprivileged user (subordinate ids, /run/user, groups); --cache keeps what is downloaded;
# --also names more packages of Debian that are wanted, of which no service starts either.
set -eu

cache=/var/cache/venvoy-tests
place=/opt/venvoy-tests
user=
also=

while [ $# -gt 0 ]; do
  case $1 in
    --user) user=$2 ;;
    --cache) cache=$2 ;;
    --also) also=$2 ;;
    *)
      echo "usage: install.sh [--user NAME] [--cache DIR]" >&2
      exit 2
      ;;
  esac
  shift 2
done
[ "$(id -u)" = 0 ] || {
  echo "install.sh: needs root" >&2
  exit 1
}

say() {
  printf 'containers: %s\n' "$*"
}

have() {
  command -v "$1" >/dev/null 2>&1
}

# --- packages --------------------------------------------------------------------------------------------------------

listed=
apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 "$@"
}

# bring PACKAGE...: those that are missing; no service starts by itself.
bring() {
  missing=
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  [ -n "$listed" ] || apt_get update || say "apt-get update failed; going on with the lists that are here"
  listed=yes
  say "installing$missing"
  policy=/usr/sbin/policy-rc.d
  made=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    made=yes
  fi
  # shellcheck disable=SC2086  # one word for each package
  apt_get install --no-install-recommends $missing >/dev/null
  [ -z "$made" ] || rm -f $policy
}

# put FILE: writes stdin there, and sets `changed` where that is news.
changed=
put() {
  new=$(mktemp)
  cat >"$new"
  if ! cmp -s "$new" "$1"; then
    mkdir -p "$(dirname "$1")"
    install -m 644 "$new" "$1"
    changed=yes
    say "wrote $1"
  fi
  rm -f "$new"
}

# capable BIT: whether this process has that capability; root in a container often lacks some.
capable() {
  mask=$(awk '/^CapEff/ { print $2 }' /proc/self/status)
  [ $((0x$mask >> $1 & 1)) = 1 ]
}
CAP_SYS_RESOURCE=24

# answers COMMAND...: waits for its success, half a minute at most.
answers() {
  for _ in $(seq 150); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  return 1
}

# --- the machine -----------------------------------------------------------------------------------------------------

machine() {
  grep -qE ' /sys/fs/cgroup(/[a-z]+)? ' /proc/mounts || mount -t cgroup2 none /sys/fs/cgroup
  [ ! -e /dev/fuse ] || chmod 666 /dev/fuse
  [ ! -e /dev/net/tun ] || chmod 666 /dev/net/tun
  # what the runtimes bind into every container must be there
  [ -e /etc/hosts ] || echo "127.0.0.1 localhost" >/etc/hosts
  if [ ! -e /etc/localtime ]; then
    bring tzdata
    [ -e /etc/localtime ] || ln -s /usr/share/zoneinfo/Etc/UTC /etc/localtime
  fi
  [ -z "$user" ] || prepared
}

# The user, with numbers for containers and a folder for sockets, as a login would make it.
prepared() {
  id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
  for file in /etc/subuid /etc/subgid; do
    touch $file
    grep -q "^$user:" $file ||
      echo "$user:$(awk -F: 'BEGIN { top = 100000 } $2 + $3 > top { top = $2 + $3 } END { print top }' $file):65536" >>$file
  done
  folder=/run/user/$(id -u "$user")
  [ -d "$folder" ] || install -d -m 700 -o "$user" -g "$(id -g "$user")" "$folder"
}

# --- Docker ----------------------------------------------------------------------------------------------------------

docker_answers() {
  docker version
}

with_docker() {
  bring docker.io iptables ca-certificates
  [ -z "$user" ] || usermod -aG docker "$user"
  docker_answers >/dev/null 2>&1 && return
  if [ -d /run/systemd/system ]; then
    systemctl start docker
  else
    rm -f /var/run/docker.pid
    setsid -f /usr/sbin/dockerd >>/var/log/dockerd.log 2>&1 </dev/null
  fi
  answers docker_answers || {
    tail -20 /var/log/dockerd.log >&2
    exit 1
  }
  say "dockerd runs"
}

# --- Podman ----------------------------------------------------------------------------------------------------------

with_podman() {
  bring podman runc conmon uidmap slirp4netns fuse-overlayfs containernetworking-plugins iptables catatonit
  # crun of Debian 12 fails where cgroups of both versions are mounted.
  runtime=runc
  [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ] || ! have crun || runtime=crun
  limits=
  if ! capable $CAP_SYS_RESOURCE; then
    # Podman asks for more than a root without this capability may give: ask for what we have.
    files=$(awk '/^Max open files/ { print $5 }' /proc/self/limits)
    processes=$(awk '/^Max processes/ { print $4 }' /proc/self/limits)
    highest=$(cat /proc/sys/kernel/pid_max)
    [ "$files" != unlimited ] || files=1048576
    { [ "$processes" != unlimited ] && [ "$processes" -le "$highest" ]; } || processes=$highest
    limits="default_ulimits = [\"nofile=$files:$files\", \"nproc=$processes:$processes\"]"
  fi
  put /etc/containers/containers.conf <<EOF
[containers]
$limits
init_path = "/usr/bin/catatonit"
[engine]
runtime = "$runtime"
cgroup_manager = "cgroupfs"
events_logger = "file"
EOF
  # Without root it would copy every layer (vfs), although Linux can do better since 5.13.
  put /etc/containers/storage.conf <<EOF
[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
EOF
  [ -e /etc/containers/policy.json ] || put /etc/containers/policy.json <<EOF
{"default": [{"type": "insecureAcceptAnything"}]}
EOF
  [ -z "$changed" ] || say "podman is configured"
}

# --- Apptainer -------------------------------------------------------------------------------------------------------

# The mirror that this machine's apt uses.
mirror() {
  # shellcheck disable=SC2016  # apt's own variable
  apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep '/debian/*$' | head -n 1
}

# Leaves the packages in $debs, their signatures checked by apt.
fetched() {
  debs=$cache/apptainer
  for name in apptainer libc6 libseccomp2 libsqlite3-0; do
    set -- "$debs/${name}"_*.deb
    [ -e "$1" ] || break
  done
  [ ! -e "$1" ] || return 0
  site=$(mirror)
  mkdir -p "$debs"
  chmod 755 "$cache" "$debs"
  apt_home=$(mktemp -d)
  mkdir -p "$apt_home/lists/partial" "$apt_home/archives/partial" "$apt_home/etc/apt.conf.d" "$apt_home/etc/preferences.d"
  keys=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$keys] $site sid main" >"$apt_home/etc/sources.list"
  : >"$apt_home/status"
  set -- -o Dir::Etc="$apt_home/etc" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt_home/lists" \
    -o Dir::State::status="$apt_home/status" -o Dir::Cache="$apt_home" -o APT::Sandbox::User=root \
    -o Acquire::Languages=none -o Acquire::Retries=3
  # A mirror that is a copy of some day serves a list past its date; its signature is checked all the same.
  apt-get -qq "$@" update 2>/dev/null || set -- "$@" -o Acquire::Check-Valid-Until=false
  apt-get -qq "$@" update
  (cd "$debs" && apt-get -qq "$@" download apptainer libc6 libseccomp2 libsqlite3-0)
  rm -rf "$apt_home"
}

with_apptainer() {
  bring squashfs-tools squashfuse fuse3 fuse-overlayfs fuse2fs e2fsprogs uidmap patchelf ca-certificates
  fetched
  tree=$place/apptainer
  made_of="$(cd "$debs" && sha256sum ./*.deb | sha256sum | cut -c1-16) $tree"
  if [ "$(cat "$tree/made-of" 2>/dev/null)" != "$made_of" ]; then
    rm -rf "$tree"
    mkdir -p "$tree"
    unpacked=$(mktemp -d)
    dpkg-deb -x "$debs"/apptainer_*.deb "$unpacked/apptainer"
    for name in libc6 libseccomp2 libsqlite3-0; do
      dpkg-deb -x "$debs/${name}"_*.deb "$unpacked/libraries"
    done
    cp -a "$unpacked/apptainer/usr/." "$tree/"
    cp -a "$unpacked/apptainer/etc" "$tree/etc"
    # It finds its files from where it lies; Debian's starter is one folder deeper and looks below lib/.
    mkdir -p "$tree/var/lib/apptainer/mnt/session"
    ln -s ../etc "$tree/lib/etc"
    ln -s ../var "$tree/lib/var"
    # Its own C library, which the system never sees.
    own=$tree/lib/private
    mkdir -p "$own"
    found=$(find "$unpacked/libraries" -name libc.so.6 | head -n 1)
    triplet=$(basename "$(dirname "$found")")
    find "$unpacked/libraries" -path "*/$triplet/*" \( -name 'ld-linux*' -o -name 'lib*.so*' \) -exec cp -a {} "$own/" \;
    loader=$(find "$own" -name 'ld-linux*' | head -n 1)
    for program in "$tree/bin/apptainer" "$tree"/lib/*/apptainer/bin/starter; do
      patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$own" "$program"
    done
    configured=$tree/etc/apptainer/apptainer.conf
    capable $CAP_SYS_RESOURCE || sed -i 's/^root default capabilities = .*/root default capabilities = file/' "$configured"
    [ -d /run/systemd/system ] || sed -i 's/^systemd cgroups = yes/systemd cgroups = no/' "$configured"
    chmod -R a+rX "$tree"
    rm -rf "$unpacked"
    echo "$made_of" >"$tree/made-of"
    say "$("$tree/bin/apptainer" --version) is in $tree"
  fi
  for name in apptainer singularity; do
    [ -e /usr/local/bin/$name ] || ln -s "$tree/bin/apptainer" /usr/local/bin/$name
  done
}

# A registry for the tests, and who may use it; neither runs by itself.
with_registry() {
  bring docker-registry apache2-utils
}

machine
# shellcheck disable=SC2086  # one word for each package
bring mmdebstrap $also
with_docker
with_podman
with_apptainer
with_registry
say "docker $(docker version --format '{{.Server.Version}}'), $(podman --version), $(apptainer --version)"
