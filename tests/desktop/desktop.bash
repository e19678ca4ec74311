# The daemons of a desktop session: `stasis check` explains itself for each, and all of them together, as one tree, are checkpointed,
# killed and restarted with the same screen and the same answers. For scripts in a cage that have tests/functions.sh.

desktop=$tests/desktop
mount -t tmpfs none /run && mkdir -p /run/sshd /run/dbus
mkdir -p /tmp/.X11-unix
postgresql=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)

prepare_session() {
  mkdir session
  # PostgreSQL's own user must be able to come here.
  mount -t tmpfs -o mode=755 none session && cd session || failed "no place for the session"
  mkfifo typed
  mkdir data nginx && chown postgres data
  ssh-keygen -q -t ed25519 -N '' -f hostkey
  cat >nginx.conf <<TEXT
daemon off; pid $PWD/nginx/pid; error_log $PWD/nginx/errors; events {}
http {
  access_log off; client_body_temp_path $PWD/nginx/1; proxy_temp_path $PWD/nginx/2; fastcgi_temp_path $PWD/nginx/3;
  uwsgi_temp_path $PWD/nginx/4; scgi_temp_path $PWD/nginx/5;
  server { listen 8081; root $PWD; }
}
TEXT
  setpriv --reuid=postgres --regid=postgres --clear-groups "$postgresql/initdb" -D "$PWD/data" -A trust -N >/dev/null 2>&1 || failed "no database could be made"
}

describe_session() {
  ps -eo pid,ppid,stat,wchan:20,comm
  tail -n 5 *.log
  DISPLAY=:7 timeout 5 xlsclients
  DISPLAY=:7 timeout 5 xprop -root
}

# until_true SECONDS COMMAND...: repeats it until it succeeds.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { describe_session; failed "it does not come true: $*"; }
    sleep 0.1
  done
}

redis_answers() { [ "$(timeout 5 redis-cli -p 7001 ping)" = PONG ]; }
nginx_answers() { timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/8081; printf "GET /hostkey.pub HTTP/1.0\r\n\r\n" >&3; grep -q ssh-ed25519 <&3'; }
postgresql_answers() { [ "$(timeout 5 "$postgresql/psql" -h "$PWD/data" -p 5544 -U postgres -Atc 'select 40+2' postgres)" = 42 ]; }
sshd_answers() { timeout 5 ssh-keyscan -p 2222 127.0.0.1 2>/dev/null | grep -qF "$(cut -d' ' -f2 hostkey.pub)"; }
dbus_answers() { timeout 5 dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames | grep -q org.freedesktop.DBus; }
window_stands() { DISPLAY=:7 timeout 5 xlsclients | grep -q xterm && DISPLAY=:7 timeout 5 xprop -root _NET_CLIENT_LIST | grep -q 0x; }
all_answer() { until_true 20 redis_answers; until_true 20 nginx_answers; until_true 20 postgresql_answers; until_true 20 sshd_answers; until_true 20 dbus_answers; until_true 20 window_stands; }

# Only the pixels: what comes before them has bytes that nobody sets.
screen() { DISPLAY=:7 timeout 10 xwd -root -silent | tail -c $((640 * 480 * 4)) | md5sum; }
# The screen when it has come to rest: the same three times.
settled_screen() {
  local now before='' same=0 tries=60
  while [ $same -lt 3 ] && [ $tries -gt 0 ]; do
    now=$(screen)
    if [ "$now" = "$before" ]; then same=$((same + 1)); else same=0; fi
    before=$now tries=$((tries - 1))
    sleep 0.15
  done
  echo "$before"
}
type_line() { timeout 5 bash -c "echo '$1' >typed" || failed "the shell in the terminal does not read"; }
shows_another() { [ "$(screen)" != "$1" ]; }

# Every process of the session alone: nothing stands in the way, or each reason tells whose it is, of what, why, and what to do.
expect_explained() { # PID
  local name
  name=$(cat "/proc/$1/comm" 2>/dev/null) || return 0
  tool check "$1" --json
  [ -d "/proc/$1" ] || return 0
  case $code in
    0) jq -e '.problems | length == 0' output >/dev/null || failed "the check of $name is content with problems: $(cat output)" ;;
    69) jq -e '.problems | length > 0 and all(.[]; .pid > 0 and (.command + .object) != "" and (.why | length) > 10 and (.advice | length) > 10)' output >/dev/null ||
      failed "the check of $name explains nothing: $(cat output errors)" ;;
    *) failed "the check of $name ended with $code" ;;
  esac
  echo "$name: $code $(jq -r '[.problems[].why] | unique | join("; ")' output)"
}

prepare_session
setsid bash "$desktop/session.bash" "$postgresql" </dev/null >session.log 2>&1 &
session=$!
disown
until_true 30 test -S /tmp/.X11-unix/X7
all_answer
type_line 'before the checkpoint'

echo "== each alone"
for process in /proc/[0-9]*; do
  process=${process#/proc/}
  [ "$process" -eq 1 ] || [ "$process" -eq $$ ] || [ ! -e "/proc/$process/exe" ] || expect_explained "$process"
done
# Alone, these have nothing outside; the X server's programs have the X server.
for pid_file in data/postmaster.pid nginx/pid; do
  tool check "$(head -n 1 $pid_file)"
  expect_code 0
done

echo "== all together"
for round in 1 2; do
  before=$(settled_screen)
  tool checkpoint "$session" -o "$here/image$round"
  expect_code 0
  expect_processes 1
  [ -z "$(ls "$here/image$round" | grep partial)" ] || failed "a partial image is left"
  tool restart "$here/image$round" --detach --pid-file pid
  expect_code 0
  [ "$(cat pid)" = "$session" ] || failed "it has another id: $(cat pid), was $session"
  after=$(settled_screen)
  [ "$before" = "$after" ] || failed "the screen is another one after restart $round"
  all_answer
  type_line "after restart $round"
  until_true 10 shows_another "$after"
done
cd "$here" || exit
