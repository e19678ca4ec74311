// checkpoint: --save-files
// restart: --changed-files rewind
// Descriptions shared by dup, by fork and over a socket: one offset, one set of flags; and others that are not shared.
#include "victim.h"

static void pass(int socket, int fd)
{
    char byte = 'f', control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    must(sendmsg(socket, &message, 0));
}

static int take(int socket)
{
    char byte, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    must(recvmsg(socket, &message, 0));
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

int main(void)
{
    struct { atomic_int go, done; } *board = shared_memory(4096);
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    int file = must(open("file", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(write(file, "0123456789", 10));
    int twin = must(dup(file)), apart = must(open("file", O_RDWR));
    pid_t pid = must(fork());
    if (pid == 0) {
        // Its own number for the description it inherits, and one that came over the socket.
        int moved = must(fcntl(file, F_DUPFD, 50)), taken = take(pair[1]);
        must(close(file));
        must(close(twin));
        atomic_store(&board->done, 1);
        while (atomic_load(&board->go) < 1)
            nap_ms(3);
        expect_equal(must(lseek(moved, 0, SEEK_CUR)), 4);
        must(lseek(moved, 7, SEEK_SET));
        must(lseek(taken, 2, SEEK_SET));
        must(fcntl(taken, F_SETFL, O_APPEND));
        _exit(0);
    }
    int sent = must(open("file", O_RDWR));
    pass(pair[0], sent);
    while (!atomic_load(&board->done))
        nap_ms(1);
    must(lseek(file, 1, SEEK_SET));
    must(lseek(apart, 6, SEEK_SET));
    ready();
    wait_verify();
    expect_equal(must(lseek(twin, 3, SEEK_CUR)), 4);
    expect_equal(must(lseek(file, 0, SEEK_CUR)), 4);
    atomic_store(&board->go, 1);
    reap_success(pid);
    expect_equal(must(lseek(file, 0, SEEK_CUR)), 7);
    expect_equal(must(lseek(twin, 0, SEEK_CUR)), 7);
    expect_equal(must(lseek(apart, 0, SEEK_CUR)), 6);
    expect_equal(must(lseek(sent, 0, SEEK_CUR)), 2);
    expect(must(fcntl(sent, F_GETFL)) & O_APPEND);
    expect(!(must(fcntl(apart, F_GETFL)) & O_APPEND));
    ok();
}
