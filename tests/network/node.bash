# A node HTTP server: an event loop on epoll and a pool of threads.
own_network
needs node
start_server node "$tests/network/servers/count.js" 8081
await_port 8081
converse python3 "$tests/network/client.py" count 10.9.0.1 8081
