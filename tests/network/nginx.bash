# nginx: a master, and workers of another user that share a listener; large answers to clients that keep their connections.
own_network
needs nginx
head -c 700000 /dev/urandom >page
chmod 755 . && chmod 644 page
cat >nginx.conf <<CONFIGURATION
daemon off;
worker_processes 2;
pid $here/nginx.pid;
error_log $here/error.log;
events { worker_connections 64; }
http {
  access_log off;
  keepalive_requests 1000000000; keepalive_timeout 1d; keepalive_time 1d; client_header_timeout 1d; send_timeout 1d;
  sendfile on;
  client_body_temp_path $here/t1; proxy_temp_path $here/t2; fastcgi_temp_path $here/t3; uwsgi_temp_path $here/t4; scgi_temp_path $here/t5;
  server { listen 8080; location / { root $here; } }
}
CONFIGURATION
start_server nginx -c "$here/nginx.conf"
await_port 8080
converse python3 "$tests/network/client.py" http 10.9.0.1 8080
