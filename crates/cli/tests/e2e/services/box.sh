#!/bin/bash
# A real systemd as PID 1 of namespaces of its own: start | user CMD... | exec CMD... | reboot | stop.
# Its root is an overlay over this machine's, its network a loopback of its own. Needs root, systemd, dbus, unshare.
set -euo pipefail
NAME=$BOX_NAME DIR=/run/$BOX_NAME BINARY=$BOX_BINARY
CG=/sys/fs/cgroup/unified/$NAME
[ -d /sys/fs/cgroup/unified ] || CG=/sys/fs/cgroup/$NAME
PIDFILE=$DIR/pid
USERNAME=tester USERID=1777
PACKAGES="systemd libpam-systemd dbus dbus-user-session util-linux iproute2"
missing() { echo "the box needs $1; Debian: apt-get install $PACKAGES" >&2; exit 3; }
[ "$(id -u)" = 0 ] || { echo "the box needs root, for its namespaces: run these tests as root, or in a container as root" >&2; exit 3; }
for it in unshare nsenter dbus-daemon ip runuser mountpoint; do command -v $it >/dev/null || missing $it; done
[ -x /lib/systemd/systemd ] || missing systemd
[ -e /usr/lib/systemd/user/dbus.socket ] || missing "a message bus for users"
compgen -G '/usr/lib/*/security/pam_systemd.so' >/dev/null || missing pam_systemd.so

pid() { [ -s "$PIDFILE" ] && p=$(cat "$PIDFILE") && kill -0 "$p" 2>/dev/null && echo "$p"; }

inside() { # runs its arguments in the box's namespaces
  local p; p=$(pid) || { echo "box is not running" >&2; return 3; }
  # join a cgroup of the box first, so that logind/systemd see the caller as one of theirs
  ( cd /; exec nsenter -t "$p" --mount --pid --net --uts --ipc --cgroup --root --wd -- "$@" )
}

start() {
  if pid >/dev/null; then echo "already running: $(pid)"; return 0; fi
  mkdir -p "$DIR/up" "$DIR/root"
  mountpoint -q "$DIR/up" || mount -t tmpfs -o mode=755,size=2g tmpfs "$DIR/up"
  mkdir -p "$DIR/up/u" "$DIR/up/w"
  mkdir -p "$CG"
  rm -f "$DIR/born"; mkfifo "$DIR/born"
  # The outer process enters the box's cgroup, then makes the namespaces; the inner one becomes PID 1.
  local script; script="$(declare -f boot); boot"
  ( echo "$BASHPID" > "$CG/cgroup.procs"
    exec setsid unshare --fork --pid --mount --uts --ipc --cgroup --net --propagation private \
      bash -c "$script" ) \
      </dev/null >"$DIR/console.log" 2>&1 &
  local outer=$! p= state=
  echo "$outer" > "$DIR/outer.pid"
  # PID 1 of the box says which number it has out here.
  read -r -t 20 p <> "$DIR/born" || { kill -9 "$outer" 2>/dev/null; cat "$DIR/console.log" >&2; return 1; }
  echo "$p" > "$PIDFILE"
  # A unit of the box says that the others are up.
  read -r -t 40 state <> "$DIR/born" || true
  kill -0 "$p" 2>/dev/null || { echo "PID 1 of the box ended:" >&2; cat "$DIR/console.log" >&2; rm -f "$PIDFILE"; return 1; }
  state=$(inside /usr/bin/timeout 20 /bin/systemctl is-system-running --wait 2>/dev/null || true)
  case "$state" in running|degraded) ;; *) echo "box not ready: ${state:-none}" >&2; tail -n 20 "$DIR/console.log" >&2; halt KILL; return 1;; esac
  # Once: a later boot has to bring back by itself what was enabled.
  if [ ! -e "$DIR/lingers" ]; then
    touch "$DIR/lingers"
    inside /bin/loginctl enable-linger "$USERNAME"
    inside /bin/systemctl start "user@$USERID.service"      # it waits for the manager to be ready
  fi
  echo "ready: $state (pid $p)"
}

boot() {
  set -e
  export LC_ALL=C
  cd /
  read -r own _ < /proc/self/stat                                   # still the outer /proc: the number out there
  echo "$own" > "$DIR/born"
  R=$DIR/root
  mount -t overlay overlay -o "lowerdir=/,upperdir=$DIR/up/u,workdir=$DIR/up/w" "$R"
  mount -t proc proc "$R/proc"
  mount --bind "$R/proc/sys" "$R/proc/sys"; mount -o remount,bind,ro "$R/proc/sys"   # systemd-sysctl must not reach the kernel's settings
  mount -t sysfs -o ro sysfs "$R/sys"
  mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"                       # cgroup namespace: the box sees its own cgroup as the root
  mount -t tmpfs -o mode=755 tmpfs "$R/dev"
  for d in null zero full random urandom tty fuse; do [ -e /dev/$d ] && { touch "$R/dev/$d"; mount --bind /dev/$d "$R/dev/$d"; }; done
  mkdir -p "$R/dev/pts" "$R/dev/shm"; mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$R/dev/pts"; ln -s pts/ptmx "$R/dev/ptmx"
  mount -t tmpfs -o mode=1777 tmpfs "$R/dev/shm"
  ln -s /proc/self/fd "$R/dev/fd"; ln -s fd/0 "$R/dev/stdin"; ln -s fd/1 "$R/dev/stdout"; ln -s fd/2 "$R/dev/stderr"
  touch "$R/dev/console" "$R/dev/born"; mount --bind "$DIR/born" "$R/dev/born"
  mount -t tmpfs -o mode=755 tmpfs "$R/run"; mkdir -p "$R/run/lock"
  mount -t tmpfs -o mode=1777 tmpfs "$R/tmp"
  cp "$BINARY" "$R/usr/local/bin/openclaw.new"; chmod 755 "$R/usr/local/bin/openclaw.new"; mv "$R/usr/local/bin/openclaw.new" "$R/usr/local/bin/openclaw"
  ip link set lo up
  # the box's own configuration: only what a user manager needs, nothing of this machine's services (made once: a reboot keeps it)
  if [ ! -e "$R/etc/box" ]; then
  rm -rf "$R/etc/systemd/system"; mkdir -p "$R/etc/systemd/system" "$R/etc/systemd/journald.conf.d" "$R/etc/systemd/user"
  E=$R/etc/systemd/system
  printf '[Unit]\nDescription=The box\nRequires=basic.target\nWants=systemd-logind.service dbus.service systemd-user-sessions.service box-up.service\nAfter=basic.target systemd-logind.service dbus.service\nAllowIsolate=yes\n' > "$E/box.target"
  printf '[Unit]\nAfter=basic.target systemd-logind.service dbus.service systemd-user-sessions.service\n[Service]\nType=oneshot\nExecStart=/bin/sh -c "echo up > /dev/born"\n' > "$E/box-up.service"
  ln -s box.target "$E/default.target"
  for u in systemd-remount-fs systemd-tmpfiles-clean systemd-sysctl systemd-modules-load systemd-timesyncd systemd-update-utmp \
           systemd-networkd systemd-random-seed systemd-binfmt systemd-pcrphase systemd-hwdb-update systemd-udevd e2scrub_reap fstrim; do
    ln -sf /dev/null "$E/$u.service"; done
  for u in systemd-tmpfiles-clean apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim; do ln -sf /dev/null "$E/$u.timer"; done
  printf '[Journal]\nStorage=persistent\nSystemMaxUse=64M\nReadKMsg=no\n' > "$R/etc/systemd/journald.conf.d/box.conf"
  rm -rf "$R/var/log/journal"; mkdir -p "$R/var/log/journal"
  : > "$R/etc/fstab"
  echo "$NAME" > "$R/etc/hostname"
  rm -f "$R/etc/machine-id"; touch "$R/etc/machine-id"; od -An -N16 -tx1 /dev/urandom | tr -d ' \n' > "$R/etc/machine-id"
  grep -q "^$USERNAME:" "$R/etc/passwd" || {
    echo "$USERNAME:x:$USERID:$USERID::/home/$USERNAME:/bin/bash" >> "$R/etc/passwd"
    echo "$USERNAME:x:$USERID:" >> "$R/etc/group"
    echo "$USERNAME:*:19000:0:99999:7:::" >> "$R/etc/shadow"; }
  mkdir -p "$R/home/$USERNAME"; chown "$USERID:$USERID" "$R/home/$USERNAME"
  touch "$R/etc/box"
  fi
  mkdir -p "$R/oldroot"; cd "$R"
  pivot_root . oldroot
  cd /; umount -l /oldroot; rmdir /oldroot 2>/dev/null || true
  hostname "$NAME"
  exec env -i container=box PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    /lib/systemd/systemd --system --log-target=console --log-level=info --show-status=false
}

userrun() { # a PAM login session (pam_systemd), as ssh would give: XDG_RUNTIME_DIR and a logind session of its own
  local q; q=$(printf '%q ' "$@")
  inside /usr/sbin/runuser -l "$USERNAME" -c "export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$USERID/bus; export PATH=/usr/local/bin:/usr/bin:/bin OPENAI_BASE_URL=http://127.0.0.1:1/v1; $q"
}

halt() { # halt [SIGNAL]: the box's processes end; its disk stays
  local p; p=$(pid) || return 0
  kill -s "${1:-RTMIN+4}" "$p" 2>/dev/null || true      # SIGRTMIN+4: power off
  timeout 30 tail -s 0.02 --pid="$p" -f /dev/null || true
  kill -9 "$p" 2>/dev/null || true                      # the namespace's PID 1: its death ends every process of the box
  timeout 5 tail -s 0.02 --pid="$p" -f /dev/null || true
  rm -f "$PIDFILE"
  if [ -d "$CG" ]; then find "$CG" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
}
stop() {
  halt
  mountpoint -q "$DIR/up" && umount -l "$DIR/up"
  rm -rf "$DIR"
  echo stopped
}

export DIR NAME BINARY USERNAME USERID
case "${1:-}" in
  start) start;; stop) stop;; reboot) halt; start;;
  exec) shift; inside "$@";;
  user) shift; userrun "$@";;
  *) exit 64;;
esac
