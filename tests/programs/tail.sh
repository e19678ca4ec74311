# tail -F: follows a growing file by inotify, also across a rotation; a writer beside it in the same tree.
needs=tail
prepare() { :; }
start() {
    exec 7>log
    tail -n +1 -F log >followed 2>tail.err 7>&- &
    local follower=$! i
    for ((i = 1; i <= 400; i++)); do
        echo "line $i" >&7
        # A rotation: the name comes to mean another file.
        if ((i % 100 == 0)); then
            sleep 0.3
            mv log "log.$i"
            exec 7>log
        fi
        sleep 0.005
    done
    # Until it has told the last line.
    for ((i = 0; i < 200; i++)); do
        [[ $(tail -n 1 followed) == "line 400" ]] && break
        sleep 0.05
    done
    kill $follower
    wait $follower
    sort -n -k2 -u followed
    exit 0
}
# What was on its way while the log was turned may be told twice, never not at all.
check() { same stdout.txt; }
