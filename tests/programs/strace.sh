# strace -f of a busy shell: every write of every process is in its log once, whatever they were in the middle of.
needs=strace
untouched="busy.bash"
prepare() {
    cat >busy.bash <<'END'
for i in {1..30}; do
    echo "line $i $(expr $i \* 3)"
    ( read -t 0.02 < <(sleep 0.03); exit $((i % 3)) )
    echo "status $?"
    { sleep 0.02 & wait; }
    for ((k = 0; k < 1000; k++)); do :; done
done
END
}
start() { exec strace -f -qq -e trace=write,wait4,execve -e signal=none -o trace.txt bash busy.bash; }
writes() { sed -nE 's/^[0-9]+ +(write\(1, "[a-z]+ [^"]*").*/\1/p' "$1"; }
check() { same stdout.txt stderr.txt && diff <(writes ../reference/trace.txt) <(writes trace.txt) && [[ $(writes trace.txt | wc -l) -ge 60 ]]; }
