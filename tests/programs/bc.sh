# bc fed by a pipe: a writer that waits for a slow reader, so the pipe is full.
needs=bc
prepare() { :; }
start() {
    exec bash -c '{ echo "scale=60"; for ((i = 1; i <= 5600; i++)); do echo "s += l($i) * e(-1/$i); if ($i % 20 == 0) s"; done; } | bc -l >result'
}
check() { same result && [[ -s result ]]; }
