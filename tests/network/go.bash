# A server built with Go: goroutines over threads, the poller of its runtime.
own_network
needs go
program=$(built count.go go build -o program count.go) || failed "it can't be built: $program"
start_server "$program/program" 8082
await_port 8082
converse python3 "$tests/network/client.py" count 10.9.0.1 8082
