# A desktop session's worth of programs as children of one shell, in its own directory: dbus, cron, sshd, nginx, redis, PostgreSQL, and an X
# server with a window manager, a terminal and a clock. They find each other by sockets of every kind.
#   session.bash POSTGRESQL_PROGRAMS
postgresql=$1 here=$PWD
export HOME=$here USER=root LC_ALL=C
dbus-daemon --system --nofork --nopidfile </dev/null >dbus.log 2>&1 &
cron -f </dev/null >cron.log 2>&1 &
/usr/sbin/sshd -D -e -f /dev/null -p 2222 -h "$here/hostkey" </dev/null >sshd.log 2>&1 &
nginx -c "$here/nginx.conf" </dev/null >nginx.log 2>&1 &
redis-server --port 7001 --save '' --dir "$here" </dev/null >redis.log 2>&1 &
setpriv --reuid=postgres --regid=postgres --clear-groups "$postgresql/postgres" -D "$here/data" -p 5544 -k "$here/data" </dev/null >postgresql.log 2>&1 &
Xvnc :7 -nolock -SecurityTypes None -rfbport 5907 -geometry 640x480 </dev/null >xvnc.log 2>&1 &
until [ -S /tmp/.X11-unix/X7 ]; do sleep 0.1; done
export DISPLAY=:7
# What is written into the FIFO appears on the screen. One that opens it again before the writer has closed it reads no line.
cat >terminal <<TEXT
exec xterm -geometry 60x10+20+40 -e "while :; do read -r line <'$here/typed' && echo \"\\\$line\"; done" </dev/null >xterm.log 2>&1
TEXT
# Started by the window manager: a window that comes before it is ready may stay without a frame.
dbus-run-session -- openbox --startup "bash $here/terminal" </dev/null >openbox.log 2>&1 &
wait
