# PostgreSQL: a process for each client, shared memory of three kinds, and transactions that are open at each checkpoint.
own_network
binaries=$(dirname "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null | tail -n 1)")
needs "$binaries/postgres" "$binaries/initdb" psql pgbench setpriv
as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
chmod 711 . && mkdir data && chown postgres data
"${as_postgres[@]}" "$binaries/initdb" -D data -A trust -N --locale=C --no-instructions >initdb.txt 2>&1 || failed "initdb: $(cat initdb.txt)"
echo "host all all 10.9.0.0/24 trust" >>data/pg_hba.conf
start_server "${as_postgres[@]}" "$binaries/postgres" -D "$here/data" -k "$here/data" -c listen_addresses=10.9.0.1 -c fsync=off -c shared_buffers=32MB
await_port 5432
ip netns exec outside pgbench -h 10.9.0.1 -U postgres -q -i -s 1 postgres >initialized.txt 2>&1 || failed "pgbench -i: $(cat initialized.txt)"
converse python3 "$tests/network/pgbench.py" 10.9.0.1 5432 4
