#!/bin/bash
# snapshot.sh PID: what /proc tells of a process and its descendants, without what may differ between two generations
# (device and inode of anonymous objects, counters, times, who waits and who runs). Two snapshots are compared by diff.
set -u
shopt -s nullglob

descendants() {
  local task child
  echo "$1"
  for task in /proc/"$1"/task/*; do
    for child in $(<"$task/children"); do descendants "$child"; done
  done
}

pids=$(descendants "$1" | sort -n)
files=() links=() sums=()
for pid in $pids; do
  for task in $(printf '%s\n' /proc/"$pid"/task/* | sort -t/ -k5n); do files+=("$task/status" "$task/stat"); done
  [[ $(</proc/"$pid"/stat) =~ \)\ [ZX] ]] && continue
  files+=(/proc/"$pid"/{limits,oom_score_adj,personality,coredump_filter,timers,timerslack_ns,smaps})
  links+=(/proc/"$pid"/{exe,cwd,root,fd})
  sums+=(/proc/"$pid"/{cmdline,environ,auxv})
  for fd in $(printf '%s\n' /proc/"$pid"/fd/* | sort -t/ -k5n); do files+=("/proc/$pid/fdinfo/${fd##*/}"); done
done

cksum "${sums[@]}"
find "${links[@]}" -maxdepth 1 -type l -printf '%p %l\n' | sort -V | awk '
  # Anonymous objects get a number in the order in which they show up: which are the same is compared, their inode is not.
  match($0, /(pipe|socket):\[[0-9]+\]/) {
    key = substr($0, RSTART, RLENGTH)
    if (!(key in name)) name[key] = ++count
    sub(/\[[0-9]+\]/, "[" name[key] "]")
  }
  { sub(/ [^ ]* \(deleted\)$/, " (deleted)"); print }'

awk -v root="$1" '
  function hex(text,   i, value) {
    value = 0
    for (i = 1; i <= length(text); i++) value = value * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
    return value
  }
  # The bits of both of two numbers of as many hexadecimal digits.
  function both(one, other,   i, bit, digit, text) {
    for (i = 1; i <= length(one); i++) {
      digit = 0
      for (bit = 8; bit >= 1; bit /= 2) if (int(hex(substr(one, i, 1)) / bit) % 2 && int(hex(substr(other, i, 1)) / bit) % 2) digit += bit
      text = text substr("0123456789abcdef", digit + 1, 1)
    }
    return text
  }
  # Two neighbours that differ in nothing are one: whether the kernel merged them depends on history.
  function flush() {
    if (have) print process "map " start "-" end " " rights " " offset " " path " " flags
    have = 0
  }
  function mapping(line,   parts, bounds) {
    split(line, parts, " ")
    split(parts[1], bounds, "-")
    new_start = bounds[1]; new_end = bounds[2]; new_rights = parts[2]; new_offset = parts[3]
    new_path = line
    sub(/^[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]+ */, "", new_path)
    if (new_path ~ /\(deleted\)$/ && new_path !~ /^\/memfd:/) new_path = "(deleted)"
    # A ring of packets begins elsewhere after a restart; the program sees the same bytes at the same places.
    if (new_path ~ /^socket:/) { new_path = "socket:"; new_offset = 0 }
  }
  function flagged(new_flags) {
    if (have && new_start == end && new_rights == rights && new_path == path && new_flags == flags &&
        (path !~ /^(\/|\()/ || hex(new_offset) == hex(offset) + hex(end) - hex(start))) { end = new_end; return }
    flush()
    have = 1; start = new_start; end = new_end; rights = new_rights; offset = new_offset; path = new_path; flags = new_flags
  }
  FNR == 1 {
    flush()
    count = split(FILENAME, parts, "/")
    kind = parts[count]
    process = parts[3] (count > 5 ? "/" parts[5] : "") " "
    if (parts[4] == "fdinfo") { process = parts[3] " fd " parts[5] " "; kind = "fdinfo" }
  }
  kind == "smaps" && /^[0-9a-f]+-[0-9a-f]+ / { mapping($0); next }
  kind == "smaps" && /^VmFlags:/ { sub(/^VmFlags: */, ""); gsub(/(^| )(sd|ac)( |$)/, " "); gsub(/ +/, " "); sub(/ $/, ""); flagged($0); next }
  kind == "smaps" && /^ProtectionKey:/ { if ($2 != 0) new_rights = new_rights " key " $2; next }
  kind == "smaps" { next }
  # What a zombie had waiting, blocked, ignored or caught when it ended, nobody who waits for it is told.
  kind == "status" && /^State:/ { zombie = ($2 == "Z") }
  kind == "status" && zombie && /^(SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt):/ { next }
  # What waits and is not blocked is on its way.
  kind == "status" && /^SigPnd:/ { waiting = $2; next }
  kind == "status" && /^ShdPnd:/ { shared[parts[3]] = $2; next }
  kind == "status" && /^SigBlk:/ {
    print process "SigPnd: " both(waiting, $2)
    blocked[parts[3]] = parts[3] in blocked ? both(blocked[parts[3]], $2) : $2
  }
  kind == "status" && /^State:/ { print process "State " ($2 ~ /[RSD]/ ? "alive" : $2); next }
  kind == "status" && /^PPid:/ && parts[3] == root { next }
  kind == "status" && /^(Name|Umask|Tgid|Pid|PPid|TracerPid|Uid|Gid|Groups|NSpid|NSpgid|NSsid|Threads|SigBlk|SigIgn|SigCgt|Cap[A-Z][a-z]+|NoNewPrivs|Seccomp|THP_enabled|Cpus_allowed|VmLck):/ { print process $0; next }
  kind == "status" { next }
  kind == "stat" {
    sub(/^.*\) /, "")
    n = split($0, field, " ")
    # Field k of proc(5) is field[k - 2] here.
    line = "pgrp " field[3] " session " field[4] " priority " field[16] " nice " field[17] " exit_signal " field[36] " rt " field[38] " policy " field[39]
    if (field[1] != "Z") line = line " code " field[24] " " field[25] " stack " field[26] " data " field[43] " " field[44] " brk " field[45] " args " field[46] " " field[47] " env " field[48] " " field[49]
    print process line " exit " field[50]
    next
  }
  # O_LARGEFILE is set by open(2) and not by pipe(2) or socket(2), and means nothing on a 64-bit machine.
  kind == "fdinfo" && /^flags:/ {
    digit = length($2) - 5
    if (digit > 0) $2 = substr($2, 1, digit - 1) (substr($2, digit, 1) - substr($2, digit, 1) % 2) substr($2, digit + 1)
    # A file made with O_TMPFILE keeps that flag; the ghost it is rebuilt as has none.
    sub(/^0202/, "0000", $2)
    sub(/^0+/, "", $2)
    print process "flags: 0" $2
    next
  }
  kind == "fdinfo" && /^(pos|eventfd-count|eventfd-semaphore|sigmask|clockid|settime flags|it_interval):/ { print process $0; next }
  kind == "fdinfo" && /^(Pid|NSpid):/ { print process $0; next }
  # Of what the tree alone holds the inode is another.
  kind == "fdinfo" && /^inotify / { print process $1 " " $2 " " $5; next }
  kind == "fdinfo" && /^tfd:/ { sub(/ *pos:.*/, ""); print process $0; next }
  kind == "fdinfo" && /^lock:/ { $2 = ""; $6 = ""; print process $0; next }
  kind == "fdinfo" { next }
  kind == "timers" && /^(ID|notify|ClockID):/ { print process $0; next }
  kind == "timers" { next }
  { print process kind " " $0 }
  END { flush(); for (one in shared) print one " ShdPnd: " both(shared[one], blocked[one]) }' "${files[@]}" | sort # the order of epoll targets is that of kernel addresses
