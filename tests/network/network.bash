# A server in a network namespace of its own and a client in another one, joined by a cable: for scripts in a cage that have
# tests/functions.sh.

# No traces of python beside its files.
export PYTHONDONTWRITEBYTECODE=1

own_network() {
  mkdir -p netns && mount -t tmpfs none /run && mkdir /run/netns || failed "no place for a second network namespace"
  ip netns add outside
  ip link add here type veth peer name there netns outside
  ip addr add 10.9.0.1/24 dev here
  ip -6 addr add fd00:9::1/64 dev here nodad
  ip link set here up
  ip -n outside addr add 10.9.0.2/24 dev there
  ip -n outside -6 addr add fd00:9::2/64 dev there nodad
  ip -n outside link set there up
  ip -n outside link set lo up
}

# Two hosts, first and second, and a third with clients, as network namespaces at a bridge; the first has the server's address.
three_hosts() {
  mkdir -p netns && mount -t tmpfs none /run && mkdir /run/netns || failed "no place for other network namespaces"
  ip link add bridge type bridge && ip link set bridge up || skip "this kernel has no bridges"
  local host
  for host in first second client; do
    ip netns add $host
    ip link add $host type veth peer name cable netns $host
    ip link set $host master bridge up
    ip -n $host link set lo up
    ip -n $host link set cable up
  done
  ip -n first addr add 10.9.0.1/24 dev cable
  ip -n client addr add 10.9.0.2/24 dev cable
}

# At one of these hosts, without mounts of its own, as `ip netns exec` would make them for a server.
on() { nsenter --net="/run/netns/$1" "${@:2}"; }

# The server's address goes from one of them to another.
move_address() { # FROM TO
  ip -n "$1" addr del 10.9.0.1/24 dev cable
  ip -n "$2" addr add 10.9.0.1/24 dev cable
}

await_port() { # PORT
  local tries=500
  until ss -Hltn "sport = :$1" | grep -q .; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || failed "nobody listens at port $1"
    sleep 0.02
  done
}

# The client has all its connections, and has had answers.
await_begin() {
  local tries=3000
  until [ -e begun ]; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || failed "no client has come: $(cat client.txt)"
    sleep 0.02
  done
}

expect_no_rules() { ! nft list ruleset | grep -q . || failed "packet filter rules are left: $(nft list ruleset | head -3)"; }

# start_server COMMAND...: starts it as a tree of its own, its root's pid in $server.
start_server() {
  setsid "$@" </dev/null >server.txt 2>&1 &
  server=$!
  disown
}

# built SOURCE COMMAND...: a server built by the command in a directory of its own under out/, once for each state of the source;
# prints the directory, or what went wrong.
built() {
  local source=$tests/network/servers/$1 place
  place=$(dirname "$tests")/out/servers/$1
  shift
  mkdir -p "$place"
  (
    cd "$place" || exit
    exec 9>lock
    flock 9
    cmp -s "$source" built && exit
    find . -mindepth 1 ! -name lock ! -name log -delete
    cp "$source" "$(dirname "$source")"/*.csproj "$(dirname "$source")"/*.props . && "$@" && cp "$source" built
  ) </dev/null >"$place/log" 2>&1 || { tail -n 20 "$place/log"; return 1; }
  echo "$place"
}

# converse COMMAND...: a client outside, while the server is checkpointed and left running STASIS_CHECKPOINTS times, and then killed and
# restarted STASIS_CYCLES times (three of each).
converse() {
  local checkpoints=${STASIS_CHECKPOINTS:-3} cycles=${STASIS_CYCLES:-3} client round
  STASIS_LIMIT=${STASIS_LIMIT:-60}
  ip netns exec outside timeout $((150 + checkpoints * 10 + cycles * 20)) "$@" >client.txt 2>&1 &
  client=$!
  await_begin
  for ((round = 1; round <= checkpoints; round++)); do
    checkpoint --leave-running
    rm -rf image
    nap 0.1
  done
  echo >deaths
  for ((round = 1; round <= cycles; round++)); do
    checkpoint
    expect_says 'held still until the restart'
    await_end "$server" 20 || failed "the server has not ended"
    nap 0.2
    tool restart image --detach --pid-file pid
    expect_conversation
    expect_no_rules
    rm -rf image
    # A retransmission that falls into the next death comes as much later again as the one before: pauses add up where deaths are this close.
    nap "${STASIS_LIFE:-0.1}"
  done
  expect_no_rules
  echo >enough
  wait $client || failed "the client: $(cat client.txt)"
  cat client.txt
  kill "$server"
}

# What is typed at a terminal and not read yet is refused by name, and on a busy machine it may be so for a while.
checkpoint() { # OPTIONS
  local try
  for try in {1..20}; do
    tool checkpoint "$server" -o image "$@"
    [ "$code" -eq 69 ] && grep -q 'typed lines wait' errors || break
    nap 0.2
  done
  expect_conversation
}

# The tool has succeeded, and the client has nothing to complain of.
expect_conversation() {
  expect_code 0
  [ -d "/proc/$client" ] || failed "the client has ended in round $round: $(cat client.txt)"
}

# Up to twice as long as told, at no fixed distance to what the server does.
nap() { sleep "$(awk -v least="$1" -v seed=$RANDOM 'BEGIN { srand(seed); print least * (1 + rand()) }')"; }
