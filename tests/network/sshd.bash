# sshd: sessions with a shell, a terminal, and files on their way in both directions.
own_network
needs /usr/sbin/sshd ssh ssh-keygen
# What sshd wants of the machine is the cage's own.
mkdir -p -m 755 /run/sshd && mount -t tmpfs none /var/log
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts /dev/pts && mount --bind /dev/pts/ptmx /dev/ptmx
# A shell of a session reads what the user has of his own.
[ ! -e ~/.bashrc ] || mount --bind /dev/null ~/.bashrc
head -c 3000000 /dev/urandom >page
ssh-keygen -q -t ed25519 -N '' -f host_key && ssh-keygen -q -t ed25519 -N '' -f key && cp key.pub authorized
cat >sshd.conf <<CONFIGURATION
Port 2222
ListenAddress 10.9.0.1
HostKey $here/host_key
AuthorizedKeysFile $here/authorized
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
UseDNS no
PrintMotd no
PrintLastLog no
ClientAliveInterval 0
MaxStartups 100
CONFIGURATION
start_server /usr/sbin/sshd -D -e -f "$here/sshd.conf"
await_port 2222
converse python3 "$tests/network/secure_shell.py" 10.9.0.1 2222 "$here/key"
