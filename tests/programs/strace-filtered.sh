# strace --seccomp-bpf -f of a busy shell: a filter tells strace of the calls that it wants to hear of, and of no others.
. "${BASH_SOURCE%/*}/strace.sh"
start() { exec strace --seccomp-bpf -f -qq -e trace=write,wait4,execve -e signal=none -o trace.txt bash busy.bash; }
