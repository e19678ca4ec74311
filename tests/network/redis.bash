# redis: an event loop on epoll, with clients that keep their connections.
own_network
needs redis-server
start_server redis-server --port 6379 --bind 0.0.0.0 -::* --protected-mode no --save '' --appendonly no --daemonize no
await_port 6379
converse python3 "$tests/network/client.py" redis "${STASIS_HOST:-10.9.0.1}" 6379
