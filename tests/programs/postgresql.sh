# A PostgreSQL server with its shared memory of three kinds (System V, anonymous, /dev/shm), and a client inside the tree that
# changes tables, also in a transaction that is open at the moment.
needs="/usr/lib/postgresql/15/bin/postgres psql setpriv"

binaries=$(dirname "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null | tail -n 1)")
needs="$binaries/postgres $binaries/initdb psql setpriv"
# The server does not run as root.
as_postgres() { exec setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
client() { psql -h "$PWD" -U postgres -d postgres -qAtX -v ON_ERROR_STOP=1; }

prepare() {
    mkdir data
    chmod 711 .
    chown postgres data .
    (as_postgres "$binaries/initdb" -D data -A trust -N --locale=C --no-instructions >initdb.txt)
    rm initdb.txt
}

start() {
    (as_postgres "$binaries/postgres" -D data -k "$PWD" -c listen_addresses= -c fsync=off -c shared_buffers=16MB -c max_parallel_workers_per_gather=2) >server.txt 2>&1 &
    server=$!
    local try
    for try in {1..300}; do
        psql -h "$PWD" -U postgres -qAtX -c 'select 1' >/dev/null 2>&1 && break
        sleep 0.1
    done
    {
        echo "create table entries(id int primary key, text text, number bigint);"
        for ((turn = 0; turn < 150; turn++)); do
            echo "begin;"
            echo "insert into entries select g, md5(g::text), g * 7 from generate_series($((turn * 500)), $((turn * 500 + 499))) g;"
            echo "update entries set number = number + id where id % 13 = $((turn % 13));"
            echo "commit;"
            [ $((turn % 10)) -ne 9 ] || echo "select count(*), sum(number), sum(hashtext(text)) from entries;"
        done
        echo "set max_parallel_workers_per_gather = 2; set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;"
        echo "select count(*), sum(number) from entries where text like '%a%';"
        echo "select * from entries where id % 3000 = 0 order by id;"
    } | client
    kill -INT $server
    wait $server
    echo "server ended with $?"
}

check() { same stdout.txt stderr.txt && none_left data/postmaster.pid; }
