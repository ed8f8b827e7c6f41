#!/usr/bin/env bash
# Installs Debian packages in a copy of this machine that is thrown away, boots systemd there, and tries the units:
#   scripts/try-units.sh PACKAGE.deb...
# The copy is the root of this machine under a layer that takes all writes. It has processes, mounts, control groups and a
# network of its own. Needs root and a kernel with overlayfs; this machine itself need not run systemd.
set -euo pipefail

readonly USERS=http://127.0.0.1:8001 AUTH=http://127.0.0.1:8002
readonly PERSON='{"username":"anna","password":"a password of a unit"}'
readonly GROUP=lockstep-units.$$

# boot WORK PACKAGE...: in namespaces of its own, becomes their systemd. Never returns.
boot() {
  local work=$1 root=$1/root node
  mount -t tmpfs tmpfs "$work"
  mkdir "$work"/{upper,scratch,root}
  mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/scratch" overlay "$root"
  # As in a container: kernel and devices of the machine cannot be changed.
  mount -t proc proc "$root/proc"
  mount --bind "$root/proc/sys" "$root/proc/sys"
  mount -o remount,bind,ro "$root/proc/sys"
  mount --rbind /sys "$root/sys"
  mount -o remount,bind,ro "$root/sys"
  mount -t tmpfs tmpfs "$root/dev"
  mkdir "$root"/dev/{pts,shm}
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
  done
  mount -t tmpfs tmpfs "$root/run"
  mount -t tmpfs tmpfs "$root/tmp"
  mkdir "$root/tmp/packages"
  cp "${@:2}" "$root/tmp/packages"
  chroot "$root" sh -ec 'dpkg --install /tmp/packages/*.deb'
  : >"$root/etc/machine-id"
  # Not chroot: a process in one may make no users of its own, as units do.
  cd "$root"
  pivot_root . .
  umount --lazy .
  # In a container systemd takes this for done, and passes credentials to units by it.
  mount --make-rshared /
  exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot . /lib/systemd/systemd --unit=sysinit.target
}

# inside COMMAND...: in the copy.
inside() { nsenter --target "$init" --all --root --wd "$@"; }

fail() {
  echo "$1" >&2
  inside journalctl --no-pager --lines=60 >&2 || cat "$work/boot.log" >&2
  exit 1
}

# until_true WHAT COMMAND...: tries it for half a minute.
until_true() {
  local tries=300
  until "${@:2}" >/dev/null 2>&1; do
    ((--tries)) || fail "in vain: $1"
    sleep 0.1
  done
}

property() { inside systemctl show --value --property="$2" "$1"; }

post() { # URL BODY
  inside curl --silent --fail --max-time 20 --header 'Content-Type: application/json' --data "$2" "$1"
}

is_ready() { inside curl --silent --fail "$1/readyz"; }

# serves UNIT BINARY URL: it runs as nobody that there was, comes back when it is killed, and stops cleanly.
serves() {
  local unit=$1 binary=$2 url=$3 former
  until_true "$unit is ready" is_ready "$url"
  former=$(property "$unit" MainPID)
  [[ $(inside stat -c %u "/proc/$former") -ge 61184 ]] || fail "$unit has no dynamic user"
  [[ $(inside readlink "/proc/$former/exe") == "/usr/bin/$binary" ]] || fail "$unit runs something else"
  [[ $(inside sed -n 's/^Seccomp:\t//p' "/proc/$former/status") == 2 ]] || fail "$unit may call everything"
  inside kill -KILL "$former"
  until_true "$unit is started again" came_back "$unit" "$former"
  until_true "$unit is ready again" is_ready "$url"
}

came_back() { [[ $(property "$1" NRestarts) == 1 && $(property "$1" MainPID) != "$2" ]]; }

start() { inside systemctl start "$@" || fail "$* cannot be started"; }

stops() {
  inside systemctl stop "$1"
  [[ $(property "$1" Result) == success && $(property "$1" ExecMainStatus) == 0 ]] || fail "$1 did not stop cleanly"
  if inside journalctl --no-pager --unit="$1" | grep '"level":"ERROR"'; then fail "$1 complains"; fi
}

try_one_process() {
  echo '==> lockstep'
  start lockstep
  serves lockstep standalone $AUTH
  post $USERS/users "$PERSON" >/dev/null
  inside systemctl restart lockstep
  until_true 'lockstep knows the user of before' post $AUTH/login "$PERSON"
  DATA_DIR=/var/lib/lockstep inside /usr/bin/standalone users list
  stops lockstep
  DATA_DIR=/var/lib/lockstep inside /usr/bin/standalone check
  # It is not started again and again.
  inside sh -c 'echo HASH_THREADS=none >/etc/lockstep/standalone.env'
  inside systemctl start lockstep || true
  until_true 'a wrong setting is told' has_ended lockstep 78
  [[ $(property lockstep NRestarts) == 0 ]] || fail 'a wrong setting is tried again'
}

has_ended() { [[ $(property "$1" ActiveState) == failed && $(property "$1" ExecMainStatus) == "$2" ]]; }

try_two_processes() {
  echo '==> lockstep-user and lockstep-auth'
  start rabbitmq-server
  inside sh -c 'umask 077; head -c 32 /dev/urandom | basenc --base64url -w 0 | tr -d = >/etc/lockstep/sealing.key
    echo AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f | tee /etc/lockstep/user_service.env >/etc/lockstep/auth_service.env'
  start lockstep-user lockstep-auth
  serves lockstep-user user_service $USERS
  serves lockstep-auth auth_service $AUTH
  post $USERS/users "$PERSON" >/dev/null
  until_true 'auth_service has the user' post $AUTH/login "$PERSON"
  stops lockstep-user
  stops lockstep-auth
}

try_removal() {
  inside dpkg --purge lockstep lockstep-user lockstep-auth
  inside test ! -e /usr/bin/standalone || fail 'the binary is left over'
  inside test -e /var/lib/private/lockstep/users.db || fail 'the data went with the package'
}

# In every hierarchy, a group below the present one: systemd takes it for the root.
join_group() {
  local present number controllers path mount own
  # At once: it changes while groups are joined.
  present=$(</proc/self/cgroup)
  while IFS=: read -r number controllers path; do
    if ((number == 0)); then
      mount=$(findmnt --noheadings --first-only --output TARGET --types cgroup2) || continue
    else
      mount=$(findmnt --noheadings --first-only --output TARGET --types cgroup --options "$controllers") || continue
    fi
    own=$mount${path%/}
    mkdir "$own/$GROUP"
    if [[ $controllers == *cpuset* ]]; then
      cat "$own/cpuset.cpus" >"$own/$GROUP/cpuset.cpus"
      cat "$own/cpuset.mems" >"$own/$GROUP/cpuset.mems"
    fi
    echo $$ >"$own/$GROUP/cgroup.procs"
    groups+=("$own")
  done <<<"$present"
}

# Kills the copy, and removes the control groups that its systemd has made.
clean_up() {
  local own
  if [[ -n $outer ]]; then
    kill -KILL "$outer" 2>/dev/null || true
    wait "$outer" 2>/dev/null || true
  fi
  for own in "${groups[@]}"; do
    echo $$ >"$own/cgroup.procs"
    # Its last processes may be about to end.
    while ! find "$own/$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null; do sleep 0.1; done
  done
  rm -rf "$work"
}

if [[ $1 == --boot ]]; then boot "${@:2}"; fi

work=$(mktemp -d)
outer='' groups=()
trap clean_up EXIT
join_group
unshare --mount --pid --net --cgroup --uts --ipc --fork --kill-child --propagation private \
  "$0" --boot "$work" "$@" >"$work/boot.log" 2>&1 &
outer=$!
init=''
find_init() { init=$(pgrep --parent "$outer") && [[ $(</proc/"$init"/comm) == systemd ]]; }
until_true 'systemd boots' find_init
until_true 'systemd has booted' inside systemctl is-active sysinit.target
inside install -d -m 0700 /etc/lockstep
try_one_process
try_two_processes
try_removal
