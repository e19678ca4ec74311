// Messages that wait with their senders' credentials: of the program itself, of a child under another user, given by hand, and
// none at all, from before they were asked for. As a stream and as messages, with a descriptor beside them, and with pidfds.
#include "victim.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

static void give(int socket, const char *text, const struct ucred *as, int fd)
{
    char control[CMSG_SPACE(sizeof *as) + CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    size_t used = 0;
    if (as) {
        *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS, .cmsg_len = CMSG_LEN(sizeof *as)};
        memcpy(CMSG_DATA(header), as, sizeof *as);
        used = CMSG_SPACE(sizeof *as);
        header = (struct cmsghdr *)(control + used);
    }
    if (fd >= 0) {
        *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
        used += CMSG_SPACE(sizeof fd);
    }
    message.msg_controllen = used;
    if (!used)
        message.msg_control = NULL;
    expect_equal(must(sendmsg(socket, &message, 0)), strlen(text));
}

// Expects this text from this sender; the descriptor that came along, or -1.
static int take(int socket, const char *text, pid_t pid, uid_t uid, gid_t gid)
{
    char control[256], back[64] = {0};
    struct iovec part = {back, sizeof back};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    must(recvmsg(socket, &message, MSG_DONTWAIT));
    if (strcmp(back, text) != 0)
        fail("got '%s', not '%s'", back, text);
    int fd = -1;
    bool told = false;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_type == SCM_RIGHTS || header->cmsg_type == SCM_PIDFD)
            memcpy(&fd, CMSG_DATA(header), sizeof fd);
        if (header->cmsg_type != SCM_CREDENTIALS)
            continue;
        struct ucred as;
        memcpy(&as, CMSG_DATA(header), sizeof as);
        told = true;
        if (as.pid != pid || as.uid != uid || as.gid != gid)
            fail("'%s' came from %d %u:%u, not %d %u:%u", text, as.pid, as.uid, as.gid, pid, uid, gid);
    }
    expect(told);
    return fd;
}

int main(void)
{
    int stream[2], packets[2], datagram[2], pidfds[2], on = 1;
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets));
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram));
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pidfds));
    bool have_pidfds = setsockopt(pidfds[1], SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on) == 0;
    give(packets[0], "unasked", NULL, -1);
    must(setsockopt(stream[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    must(setsockopt(packets[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    must(setsockopt(datagram[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    give(stream[0], "mine", NULL, -1);
    give(packets[0], "mine", NULL, -1);
    int file = must(open("file", O_RDWR | O_CREAT, 0600));
    atomic_int *stage = shared_memory(4096); // the child's user can't reach the files here
    pid_t child = must(fork());
    if (child == 0) {
        must(setgid(54321));
        must(setuid(12345));
        give(stream[0], "child's", NULL, -1);
        give(packets[0], "child's", NULL, file);
        give(pidfds[0], "child's", NULL, -1);
        *stage = 1;
        while (*stage != 2)
            nap_ms(5);
        _exit(0);
    }
    while (*stage != 1)
        nap_ms(1);
    give(datagram[0], "by hand", &(struct ucred){child, 7, 8}, -1);
    give(stream[0], "mine again", NULL, file);
    ready();
    wait_verify();
    take(stream[1], "mine", getpid(), 0, 0);
    take(stream[1], "child's", child, 12345, 54321);
    expect(take(stream[1], "mine again", getpid(), 0, 0) >= 0);
    // The overflow ids of proc/sys/kernel/overflowuid.
    take(packets[1], "unasked", 0, 65534, 65534);
    take(packets[1], "mine", getpid(), 0, 0);
    int fd = take(packets[1], "child's", child, 12345, 54321);
    must(lseek(file, 17, SEEK_SET));
    expect_equal(must(lseek(fd, 0, SEEK_CUR)), 17);
    take(datagram[1], "by hand", child, 7, 8);
    if (have_pidfds) {
        must(setsockopt(pidfds[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
        int pidfd = take(pidfds[1], "child's", child, 12345, 54321);
        expect(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0);
        must(setsockopt(pidfds[1], SOL_SOCKET, SO_PASSCRED, &(int){0}, sizeof on));
        must(kill(child, 0));
        expect_equal(poll(&(struct pollfd){pidfd, POLLIN, 0}, 1, 0), 0);
    }
    *stage = 2;
    reap_success(child);
    ok();
}
