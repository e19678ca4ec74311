# memcached: several threads, each with its own event loop and connections.
own_network
needs memcached
start_server memcached -u nobody -p 11211 -l 0.0.0.0 -t 3
await_port 11211
converse python3 "$tests/network/client.py" memcached 10.9.0.1 11211
