// Empty messages that wait at the front, between others, side by side and last, looked at before by the program itself: from named and nameless UNIX
// sockets with credentials, before the end of a sequenced-packet socket, and over UDP, IPv4 and IPv6.
#include "victim.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>

// As a program that walks through a queue by SO_PEEK_OFF leaves it.
static void look_at_all(int fd)
{
    char text[64];
    int offset = 0;
    must(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset));
    for (int i = 0; i < 50 && recv(fd, text, sizeof text, MSG_PEEK | MSG_DONTWAIT) >= 0; i++)
        ;
    offset = -1;
    must(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset));
}

static socklen_t abstract(struct sockaddr_un *address, const char *name)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(address->sun_path + 1, name);
    return offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
}

static int named(const char *name)
{
    struct sockaddr_un address;
    int fd = must(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    socklen_t size = abstract(&address, name);
    must(bind(fd, (struct sockaddr *)&address, size));
    return fd;
}

static void send_unix(int fd, const char *text, const char *to)
{
    struct sockaddr_un address;
    socklen_t size = abstract(&address, to);
    must(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address, size));
}

static void come_unix(int fd, const char *text, const char *from, pid_t pid, uid_t uid)
{
    char back[64] = {0}, control[256];
    struct sockaddr_un sender, wanted;
    struct iovec part = {back, sizeof back - 1};
    struct msghdr message = {.msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    must(recvmsg(fd, &message, MSG_DONTWAIT));
    if (strcmp(back, text) != 0)
        fail("got '%s', not '%s'", back, text);
    socklen_t size = from ? abstract(&wanted, from) : 0;
    if (message.msg_namelen != size || memcmp(&sender, &wanted, size) != 0)
        fail("'%s' came from another sender than %s", text, from ? from : "a nameless one");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    expect(header && header->cmsg_type == SCM_CREDENTIALS);
    struct ucred as;
    memcpy(&as, CMSG_DATA(header), sizeof as);
    if (as.pid != pid || as.uid != uid)
        fail("'%s' came from %d of user %u, not %d of user %u", text, as.pid, as.uid, pid, uid);
}

static void nothing_more(int fd)
{
    char text[8];
    expect(recv(fd, text, sizeof text, MSG_DONTWAIT) == -1 && errno == EAGAIN);
}

static int bound(int family, const char *host, uint16_t *port)
{
    struct sockaddr_storage address = {.ss_family = family};
    struct sockaddr_in *four = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
    socklen_t size = family == AF_INET ? sizeof *four : sizeof *six;
    int fd = must(socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    expect_equal(inet_pton(family, host, family == AF_INET ? (void *)&four->sin_addr : (void *)&six->sin6_addr), 1);
    must(bind(fd, (struct sockaddr *)&address, size));
    must(getsockname(fd, (struct sockaddr *)&address, &size));
    *port = four->sin_port;
    return fd;
}

static void send_udp(int fd, const char *text, const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = inet_addr(host)};
    if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address, sizeof address) == -1)
        skip("there is no loopback interface that is up");
}

static void come_udp(int fd, const char *text, const char *from, uint16_t port, const char *sent_to)
{
    char back[64] = {0}, control[256], host[64];
    struct sockaddr_storage sender;
    struct iovec part = {back, sizeof back - 1};
    struct msghdr message = {.msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    must(recvmsg(fd, &message, MSG_DONTWAIT));
    if (strcmp(back, text) != 0)
        fail("got '%s', not '%s'", back, text);
    bool four = sender.ss_family == AF_INET;
    inet_ntop(sender.ss_family, four ? (void *)&((struct sockaddr_in *)&sender)->sin_addr : (void *)&((struct sockaddr_in6 *)&sender)->sin6_addr, host, sizeof host);
    if (strcmp(host, from) != 0 || ((struct sockaddr_in *)&sender)->sin_port != port)
        fail("'%s' came from %s:%d, not %s:%d", text, host, ntohs(((struct sockaddr_in *)&sender)->sin_port), from, ntohs(port));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    expect(header != NULL);
    inet_ntop(sender.ss_family, four ? (void *)&((struct in_pktinfo *)CMSG_DATA(header))->ipi_addr : (void *)&((struct in6_pktinfo *)CMSG_DATA(header))->ipi6_addr, host, sizeof host);
    if (strcmp(host, sent_to) != 0)
        fail("'%s' was sent to %s, not %s", text, host, sent_to);
}

int main(void)
{
    int on = 1, off = 0, start[2], seq[2], ended[2], only[2];
    int receiver = named("empty-receiver"), first = named("empty-first"), second = named("empty-second");
    must(setsockopt(receiver, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    must(pipe(start));
    send_unix(first, "", "empty-receiver");
    send_unix(first, "", "empty-receiver");
    send_unix(second, "one", "empty-receiver");
    send_unix(second, "", "empty-receiver");
    pid_t child = must(fork());
    if (child == 0) {
        must(setresuid(1234, 1234, 1234));
        send_unix(must(socket(AF_UNIX, SOCK_DGRAM, 0)), "", "empty-receiver");
        must(write(start[1], "x", 1));
        for (;;)
            pause();
    }
    char text[64];
    must(read(start[0], text, 1));
    send_unix(first, "two", "empty-receiver");
    send_unix(second, "", "empty-receiver");
    close(second);
    look_at_all(receiver);

    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, seq));
    must(send(seq[0], "a", 1, 0));
    must(send(seq[0], "", 0, 0));
    must(send(seq[0], "", 0, 0));
    must(send(seq[0], "b", 1, 0));
    look_at_all(seq[1]);
    must(send(seq[0], "", 0, 0)); // not looked at yet
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ended));
    must(send(ended[0], "", 0, 0));
    must(send(ended[0], "c", 1, 0));
    must(send(ended[0], "", 0, 0));
    must(shutdown(ended[0], SHUT_WR));
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, only));
    must(shutdown(only[0], SHUT_WR));

    uint16_t port, sender_port, gone_port, six_port, six_sender_port;
    int four = bound(AF_INET, "0.0.0.0", &port), sender = bound(AF_INET, "127.0.0.2", &sender_port), gone = bound(AF_INET, "127.0.0.3", &gone_port);
    must(setsockopt(four, SOL_IP, IP_PKTINFO, &on, sizeof on));
    send_udp(sender, "", "127.0.0.1", port);
    send_udp(gone, "", "127.7.8.9", port);
    send_udp(gone, "one", "127.0.0.1", port);
    send_udp(sender, "", "127.0.0.1", port);
    send_udp(gone, "", "127.0.0.4", port);
    send_udp(sender, "two", "127.0.0.1", port);
    look_at_all(four);
    send_udp(gone, "", "127.0.0.1", port); // not looked at yet
    close(gone);

    int six = bound(AF_INET6, "::", &six_port), six_sender = bound(AF_INET6, "::1", &six_sender_port);
    must(setsockopt(six, SOL_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0 || errno == EINVAL ? 0 : -1);
    must(setsockopt(six, SOL_IPV6, IPV6_RECVPKTINFO, &on, sizeof on));
    struct sockaddr_in6 loop = {.sin6_family = AF_INET6, .sin6_port = six_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    must(sendto(six_sender, "six", 3, 0, (struct sockaddr *)&loop, sizeof loop));
    must(sendto(six_sender, "", 0, 0, (struct sockaddr *)&loop, sizeof loop));
    send_udp(sender, "", "127.7.8.9", six_port);
    send_udp(sender, "four", "127.0.0.1", six_port);
    look_at_all(six);
    nap_ms(5);
    ready();
    wait_verify();

    come_unix(receiver, "", "empty-first", getpid(), 0);
    come_unix(receiver, "", "empty-first", getpid(), 0);
    come_unix(receiver, "one", "empty-second", getpid(), 0);
    come_unix(receiver, "", "empty-second", getpid(), 0);
    come_unix(receiver, "", NULL, child, 1234);
    come_unix(receiver, "two", "empty-first", getpid(), 0);
    come_unix(receiver, "", "empty-second", getpid(), 0);
    nothing_more(receiver);
    must(kill(child, SIGKILL));
    must(waitpid(child, NULL, 0));

    static const int lengths[] = {1, 0, 0, 1, 0};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        expect_equal(must(recv(seq[1], text, sizeof text, 0)), lengths[i]);
    nothing_more(seq[1]);
    expect_equal(must(recv(ended[1], text, sizeof text, 0)), 0);
    expect_equal(must(recv(ended[1], text, sizeof text, 0)), 1);
    expect_equal(must(recv(ended[1], text, sizeof text, 0)), 0);
    expect_equal(must(recv(ended[1], text, sizeof text, 0)), 0); // the end
    must(setsockopt(only[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    struct iovec part = {text, sizeof text};
    char control[256];
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    expect_equal(must(recvmsg(only[1], &message, 0)), 0);
    expect_equal(message.msg_controllen, 0); // no message, but the end

    come_udp(four, "", "127.0.0.2", sender_port, "127.0.0.1");
    come_udp(four, "", "127.0.0.3", gone_port, "127.7.8.9");
    come_udp(four, "one", "127.0.0.3", gone_port, "127.0.0.1");
    come_udp(four, "", "127.0.0.2", sender_port, "127.0.0.1");
    come_udp(four, "", "127.0.0.3", gone_port, "127.0.0.4");
    come_udp(four, "two", "127.0.0.2", sender_port, "127.0.0.1");
    come_udp(four, "", "127.0.0.3", gone_port, "127.0.0.1");
    nothing_more(four);
    come_udp(six, "six", "::1", six_sender_port, "::1");
    come_udp(six, "", "::1", six_sender_port, "::1");
    come_udp(six, "", "::ffff:127.0.0.2", sender_port, "::ffff:127.7.8.9");
    come_udp(six, "four", "::ffff:127.0.0.2", sender_port, "::ffff:127.0.0.1");
    nothing_more(six);
    ok();
}
