# Watches all devices of its network namespace, until SIGINT, for what would tell a peer of a TCP connection that something is wrong:
# resets, and ICMP messages that a destination can't be reached. Ends with 1 if there was any.
import signal
import socket
import struct
import sys

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
RST = 4
seen, bad = 0, []


def look(frame):
    """One Ethernet frame with IPv4 or IPv6 in it."""
    global seen
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0800:
        protocol, at = frame[23], 14 + (frame[14] & 15) * 4
        hosts = [socket.inet_ntop(socket.AF_INET, frame[i:i + 4]) for i in (26, 30)]
    elif kind == 0x86DD:
        protocol, at = frame[20], 54
        hosts = [socket.inet_ntop(socket.AF_INET6, frame[i:i + 16]) for i in (22, 38)]
    else:
        return
    if protocol == socket.IPPROTO_TCP and len(frame) >= at + 20:
        seen += 1
        ports = struct.unpack_from("!HH", frame, at)
        if frame[at + 13] & RST:
            bad.append(f"a reset from {hosts[0]}:{ports[0]} to {hosts[1]}:{ports[1]}")
    elif protocol == socket.IPPROTO_ICMP and frame[at] == 3 or protocol == socket.IPPROTO_ICMPV6 and frame[at] == 1:
        bad.append(f"a destination that can't be reached, says {hosts[0]} to {hosts[1]}")


def main():
    watcher = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    watcher.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
    print("watching", flush=True)
    try:
        while True:
            frame, (_, _, direction, _, _) = watcher.recvfrom(128)
            if direction != socket.PACKET_OUTGOING: # where it came in it was seen
                look(frame)
    except KeyboardInterrupt:
        pass
    # struct tpacket_stats: what came, and what there was no room for.
    packets, dropped = struct.unpack("II", watcher.getsockopt(263, 6, 8))
    print("\n".join(bad[:10]))
    print(f"{seen} TCP segments, {len(bad)} resets or errors, {dropped} not seen")
    # What was not seen is nothing to be sure of.
    sys.exit(1 if bad or dropped or not seen else 0)


signal.signal(signal.SIGINT, signal.default_int_handler)
main()
