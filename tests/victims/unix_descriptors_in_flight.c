// Descriptors on their way through UNIX sockets: that nobody else holds, that others hold too, twice, sockets that have descriptors
// in flight themselves, in a stream between bytes that came without, and in messages of a datagram socket.
#include "victim.h"
#include <sys/file.h>

static void give(int socket, const void *text, size_t length, const int *fds, int count)
{
    char control[CMSG_SPACE(8 * sizeof(int))] = {0};
    struct iovec part = {(void *)text, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int))};
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    expect_equal(must(sendmsg(socket, &message, 0)), length);
}

// Expects exactly this text and so many descriptors.
static void take(int socket, const char *text, size_t room, int *fds, int count)
{
    char control[CMSG_SPACE(8 * sizeof(int))], back[64] = {0};
    struct iovec part = {back, room};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    expect_equal(must(recvmsg(socket, &message, MSG_DONTWAIT)), strlen(text));
    expect(strcmp(text, back) == 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!count) {
        expect(!header);
        return;
    }
    expect(header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(count * sizeof(int)));
    memcpy(fds, CMSG_DATA(header), count * sizeof(int));
}

// One open file description: an offset set by one shows in the other.
static void same_file(int a, int b, off_t offset)
{
    must(lseek(a, offset, SEEK_SET));
    expect_equal(must(lseek(b, 0, SEEK_CUR)), offset);
}

int main(void)
{
    int pair[2], inner[2], innermost[2], datagram[2], ends[2], fds[8], from;
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, inner));
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, innermost));
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram));
    must(pipe(ends));
    int file = must(open("shared", O_RDWR | O_CREAT, 0600)), only = must(open("only", O_RDWR | O_CREAT, 0600));
    must(write(only, "in flight", 9));
    must(lseek(only, 3, SEEK_SET));
    must(flock(only, LOCK_EX));

    give(pair[0], "plain", 5, NULL, 0);
    give(pair[0], "one", 3, (int[]){ends[0]}, 1);
    give(pair[0], "two", 3, (int[]){file, only, file}, 3);
    give(pair[0], "after", 5, NULL, 0);
    // A pipe's end in a socket in a socket; the outer sockets' ends are closed here.
    give(innermost[0], "deep", 4, (int[]){ends[1]}, 1);
    give(inner[0], "middle", 6, (int[]){innermost[1], innermost[0]}, 2);
    give(datagram[0], "", 0, (int[]){file}, 1);
    give(datagram[0], "outer", 5, (int[]){inner[1], inner[0]}, 2);
    give(datagram[0], "last", 4, NULL, 0);
    // A socket that waits to be received from its own other end.
    int own[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, own));
    give(own[1], "self", 4, (int[]){own[0]}, 1);
    close(ends[0]);
    close(only);
    close(inner[0]);
    close(inner[1]);
    close(innermost[0]);
    close(innermost[1]);
    from = ends[1];
    must(write(from, "y", 1));
    close(ends[1]);
    ready();
    wait_verify();
    // Looks must have left no trace: where the program's own begin, and what they show.
    for (int i = 0; i < 3; i++) {
        int value = 0, looked_at[] = {pair[1], datagram[1], own[0]};
        socklen_t size = sizeof value;
        must(getsockopt(looked_at[i], SOL_SOCKET, SO_PEEK_OFF, &value, &size));
        expect_equal(value, -1);
        must(getsockopt(looked_at[i], SOL_SOCKET, SO_PASSCRED, &value, &size));
        expect_equal(value, 0);
    }

    take(pair[1], "plain", 5, fds, 0);
    take(pair[1], "one", 3, fds, 1);
    int read_end = fds[0];
    char text[16] = {0};
    expect_equal(must(read(read_end, text, 1)), 1);
    expect_equal(text[0], 'y');
    take(pair[1], "two", 64, fds, 3);
    same_file(file, fds[0], 11);
    same_file(file, fds[2], 12);
    expect_equal(must(read(fds[1], text, 16)), 6);
    expect(memcmp(text, "flight", 6) == 0);
    int again = must(open("only", O_RDWR));
    expect(flock(again, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    take(pair[1], "after", 64, fds, 0);

    take(datagram[1], "", 64, fds, 1);
    same_file(file, fds[0], 13);
    take(datagram[1], "outer", 64, fds, 2);
    int packets = fds[0];
    take(datagram[1], "last", 64, fds, 0);
    take(packets, "middle", 64, fds, 2);
    int stream = fds[0], back = fds[1];
    take(stream, "deep", 64, fds, 1);
    must(write(fds[0], "z", 1));
    expect_equal(must(read(read_end, text, 1)), 1);
    expect_equal(text[0], 'z');
    close(fds[0]);
    expect_equal(must(read(read_end, text, 1)), 0);
    must(write(back, "w", 1));
    expect_equal(must(read(stream, text, 1)), 1);

    take(own[0], "self", 64, fds, 1);
    must(write(own[1], "v", 1));
    expect_equal(must(read(fds[0], text, 1)), 1);
    ok();
}
