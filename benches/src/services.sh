# Run in the machine by its user. What it prints is read by services.rs.
now() { echo $(($(date +%s%N) / 1000000)); }
of() { systemctl --user show --value -p "$2" "openclaw-gateway-$1"; }
active() { # PROFILE [PID]: until it runs, and as another process than that
  until p=$(of "$1" MainPID) && [ "$p" != 0 ] && [ "$p" != "${2:-0}" ] && [ "$(of "$1" ActiveState)" = active ]; do :; done
}
install() { for i in $(seq "$1" "$2"); do
  openclaw --profile "p$i" setup --port $((21000 + i * 20)) >/dev/null && openclaw --profile "p$i" gateway install >/dev/null || exit 1
done; }
unit() { # PROFILE LINE: a setting of its own
  d=~/.config/systemd/user/openclaw-gateway-$1.service.d; mkdir -p "$d"; printf '[Service]\n%s\n' "$2" >"$d/bench.conf"
  systemctl --user daemon-reload; openclaw --profile "$1" gateway restart >/dev/null; active "$1"
}
hang() { # PROFILE NAME
  pid=$(of "$1" MainPID) a=$(now); kill -STOP "$pid"; timeout 90 tail -s 0.01 --pid="$pid" -f /dev/null
  echo "$2 $(($(now) - a))"; active "$1" "$pid"
}
spent() { # PROFILE: context switches and microseconds of CPU
  pid=$(of "$1" MainPID)
  echo "$(awk '/ctxt_switches/{t+=$2}END{print t}' "/proc/$pid/status") $(awk '{printf "%d", $1/1000}' "/proc/$pid/schedstat")"
}
everything() {
  install 0 9
  echo "pause $(($(of p0 RestartUSec | sed 's/s$//') * 1000))"
  for _ in $(seq $rounds); do pid=$(of p0 MainPID) a=$(now); kill -9 "$pid"; active p0 "$pid"; echo "killed $(($(now) - a))"; done
  unit p1 WatchdogSec=1
  for _ in $(seq $rounds); do hang p1 hung; done
  hang p2 hung-as-installed
  unit p1 WatchdogSec=0
  read -r s1 c1 <<<"$(spent p1)"; read -r s3 c3 <<<"$(spent p3)"
  sleep 60
  read -r t1 d1 <<<"$(spent p1)"; read -r t3 d3 <<<"$(spent p3)"
  echo "switches-unwatched $((t1 - s1))"; echo "cpu-unwatched $((d1 - c1))"
  echo "switches-watched $((t3 - s3))"; echo "cpu-watched $((d3 - c3))"
  install 10 19
  for _ in $(seq $rounds); do a=$(now); openclaw --profile p0 gateway status --deep >/dev/null; echo "deep $(($(now) - a))"; done
  for i in $(seq 10 19); do openclaw --profile "p$i" gateway uninstall >/dev/null; done
}
ready() { for i in $(seq 0 9); do active "p$i"; of "p$i" ActiveEnterTimestampMonotonic; done; }
