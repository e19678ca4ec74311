# A program that hears what changes in the network (`ip monitor`) is told that it has missed something when that happened while it was away, or when it
# had not read it; and only then.
own_network
# Its clocks run all the time, and are no news.
ip link add bridge type bridge 2>bridge.txt && ip link set bridge up && sleep 2 || echo "no bridge here: $(cat bridge.txt)"
start_server ip -o monitor link address route
await_line() { # PATTERN
  local tries=500
  until grep -q -- "$1" server.txt; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || failed "it has not heard of '$1': $(cat server.txt)"
    sleep 0.02
  done
}
cycle() {
  tool checkpoint "$server" -o image
  expect_code 0
  "${@:-true}"
  tool restart image --detach --pid-file pid
  expect_code 0
  rm -rf image
}
# The addresses that IPv6 makes by itself are news too.
for ((tries = 0; tries < 500; tries++)); do
  ip -6 addr show dev here tentative | grep -q . || break
  sleep 0.02
done
# It listens when it hears something.
for ((tries = 0; tries < 500; tries++)); do
  ip link set here mtu $((1390 + tries % 2))
  ! grep -q 'mtu 139' server.txt || break
  sleep 0.02
done
ip link set here mtu 1401
await_line 'mtu 1401'
cycle
ip link set here mtu 1402
await_line 'mtu 1402'
! grep -qi 'buffer space' server.txt || failed "it is told to have missed something, and has not: $(cat server.txt)"
cycle ip link set here mtu 1403
await_line 'buffer space'
! grep -q 'mtu 1403' server.txt || failed "it has heard of what happened while it was away"
ip link set here mtu 1404
await_line 'mtu 1404'
: >server.txt
kill -STOP "$server"
ip addr add 10.9.0.3/24 dev here
ip link set here mtu 1405
cycle
kill -CONT "$server"
await_line 'buffer space'
ip link set here mtu 1406
await_line 'mtu 1406'
kill "$server"
await_end() {
  for ((tries = 0; tries < 500; tries++)); do
    [ -e "/proc/$server" ] || return 0
    sleep 0.02
  done
  failed "the server does not end"
}
await_end

# Rules, which ip monitor has a group of its own for; then neighbours, of whom nothing can be known.
start_server ip -o monitor rule
for ((tries = 0; tries < 500; tries++)); do
  ip rule add pref 900 table 90
  ip rule del pref 900
  ! grep -q 900 server.txt || break
  sleep 0.02
done
cycle
ip rule add pref 901 table 90
await_line '901:'
! grep -qi 'buffer space' server.txt || failed "it is told to have missed a rule, and has not: $(cat server.txt)"
cycle ip rule add pref 902 table 90
await_line 'buffer space'
kill "$server"
await_end
start_server ip -o monitor neigh
for ((tries = 0; tries < 500; tries++)); do
  ip neigh replace 10.9.0.90 lladdr 02:00:00:00:00:01 dev here nud permanent
  ip neigh del 10.9.0.90 dev here
  ! grep -q '10.9.0.90' server.txt || break
  sleep 0.02
done
cycle
await_line 'buffer space'
kill "$server"
await_end

# What the kernel tells of devices. To tell one listener that it has missed something is no news for the next.
cat >listener.py <<'PYTHON'
import socket
listener = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)
listener.bind((0, 1))
print("listens", flush=True)
while True:
    try:
        print(listener.recv(8192).split(b"\0")[0].decode(errors="replace"), flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
PYTHON
start_server python3 listener.py
await_line listens
ip link add one type veth
await_line 'add@.*/one'
cycle ip link add two type veth
await_line 'buffer space'
: >server.txt
before=$(cat /sys/kernel/uevent_seqnum)
cycle
if [ "$(cat /sys/kernel/uevent_seqnum)" = "$before" ]; then
  ip link add three type veth
  await_line 'add@.*/three'
  ! grep -qi 'buffer space' server.txt || failed "it is told to have missed a device, and has not: $(cat server.txt)"
fi
kill "$server"
await_end
