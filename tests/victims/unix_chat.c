// Ten processes that talk all the while over every kind of local socket: pairs of streams, packets and datagrams, a listener by
// path and one by an abstract name, one receiver of many senders, descriptors and credentials on their way. Each message is
// numbered; none may be lost, doubled or out of order, whenever the checkpoint comes.
// snapshot: no sockets are accepted and closed all the while
#include "victim.h"
#include <stddef.h>
#include <sys/un.h>

enum { Workers = 9, Kinds = 6 };

static struct {
    atomic_bool stop;
    atomic_uint sent[Workers][Kinds], received[Workers][Kinds];
} *board;

static struct sockaddr_un path = {.sun_family = AF_UNIX, .sun_path = "listening"}, abstract = {.sun_family = AF_UNIX}, box = {.sun_family = AF_UNIX, .sun_path = "box"};
static socklen_t abstract_length;

struct note {
    uint32_t worker, kind, number;
};

static void count(const struct note *note)
{
    unsigned expected = board->received[note->worker][note->kind] + 1;
    if (note->number != expected)
        fail("worker %u, kind %u: got number %u, not %u", note->worker, note->kind, note->number, expected);
    board->received[note->worker][note->kind] = expected;
}

static struct note next(unsigned worker, unsigned kind)
{
    return (struct note){worker, kind, ++board->sent[worker][kind]};
}

static void say_note(int fd, unsigned worker, unsigned kind)
{
    struct note note = next(worker, kind);
    expect_equal(must(send(fd, &note, sizeof note, MSG_NOSIGNAL)), sizeof note);
}

// A note that comes with a descriptor of an empty file.
static void say_with_file(int fd, unsigned worker, unsigned kind, int file)
{
    struct note note = next(worker, kind);
    char control[CMSG_SPACE(sizeof file)] = {0};
    struct iovec part = {&note, sizeof note};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof file)};
    memcpy(CMSG_DATA(header), &file, sizeof file);
    expect_equal(must(sendmsg(fd, &message, MSG_NOSIGNAL)), sizeof note);
}

static void call(const struct sockaddr_un *where, socklen_t length, int type, unsigned worker, unsigned kind)
{
    int fd = must(socket(AF_UNIX, type, 0));
    must(connect(fd, (const struct sockaddr *)where, length));
    char go;
    expect_equal(must(recv(fd, &go, 1, 0)), 1); // accepted
    say_note(fd, worker, kind);
    close(fd);
}

static void work(unsigned worker, int stream, int packets, int datagrams)
{
    int mail = must(socket(AF_UNIX, SOCK_DGRAM, 0)), file = must(open("/dev/null", O_RDONLY));
    must(connect(mail, (struct sockaddr *)&box, sizeof box));
    for (unsigned round = 0; !board->stop; round++) {
        say_note(stream, worker, 0);
        say_with_file(packets, worker, 1, file);
        say_note(datagrams, worker, 2);
        say_note(mail, worker, 3);
        if (round % 7 == worker % 7)
            call(&path, sizeof path, SOCK_STREAM, worker, 4);
        if (round % 5 == worker % 5)
            call(&abstract, abstract_length, SOCK_SEQPACKET, worker, 5);
    }
    _exit(0);
}

static int listener(const struct sockaddr_un *where, socklen_t length, int type)
{
    int fd = must(socket(AF_UNIX, type, 0));
    must(bind(fd, (const struct sockaddr *)where, length));
    must(listen(fd, Workers + 1));
    return fd;
}

static void hear(int fd, int flags)
{
    struct note note;
    char control[256];
    struct iovec part = {&note, sizeof note};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(fd, &message, flags);
    if (got == 0 || (got < 0 && errno == EAGAIN))
        return;
    expect_equal(must(got), sizeof note);
    expect(note.worker < Workers && note.kind < Kinds);
    count(&note);
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        int file;
        struct ucred sender;
        if (header->cmsg_type == SCM_RIGHTS) {
            memcpy(&file, CMSG_DATA(header), sizeof file);
            must(close(file));
        } else if (header->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&sender, CMSG_DATA(header), sizeof sender);
            expect(sender.pid > 0 && sender.uid == geteuid());
        }
    }
}

static void answer(int listening)
{
    int fd = must(accept(listening, NULL, NULL));
    must(send(fd, "g", 1, MSG_NOSIGNAL));
    hear(fd, MSG_WAITALL);
    close(fd);
}

int main(void)
{
    board = shared_memory(4096);
    int length = snprintf(abstract.sun_path + 1, 90, "stasis chat %d %ld", getpid(), (long)now_ns(CLOCK_REALTIME));
    abstract_length = offsetof(struct sockaddr_un, sun_path) + 1 + length;
    struct pollfd all[3 * Workers + 3];
    int on = 1, mail = must(socket(AF_UNIX, SOCK_DGRAM, 0));
    must(bind(mail, (struct sockaddr *)&box, sizeof box));
    must(setsockopt(mail, SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    all[3 * Workers] = (struct pollfd){mail, POLLIN, 0};
    all[3 * Workers + 1] = (struct pollfd){listener(&path, sizeof path, SOCK_STREAM), POLLIN, 0};
    all[3 * Workers + 2] = (struct pollfd){listener(&abstract, abstract_length, SOCK_SEQPACKET), POLLIN, 0};
    pid_t workers[Workers];
    int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    for (unsigned worker = 0; worker < Workers; worker++) {
        int theirs[3];
        for (int kind = 0; kind < 3; kind++) {
            int pair[2];
            must(socketpair(AF_UNIX, types[kind], 0, pair));
            all[3 * worker + kind] = (struct pollfd){pair[0], POLLIN, 0};
            theirs[kind] = pair[1];
        }
        workers[worker] = must(fork());
        if (workers[worker] == 0)
            work(worker, theirs[0], theirs[1], theirs[2]);
        for (int kind = 0; kind < 3; kind++)
            close(theirs[kind]);
    }
    bool told = false, stopping = false;
    int ended = 0;
    for (unsigned round = 0; ended < Workers; round++) {
        must(poll(all, 3 * Workers + 3, 20));
        for (int i = 0; i < 3 * Workers + 1; i++)
            if (all[i].revents & POLLIN)
                hear(all[i].fd, MSG_DONTWAIT | (i % 3 == 0 && i < 3 * Workers ? MSG_WAITALL : 0));
        for (int i = 3 * Workers + 1; i < 3 * Workers + 3; i++)
            if (all[i].revents & POLLIN)
                answer(all[i].fd);
        if (round % 16 == 0)
            nap_ms(1); // so that queues fill
        if (!told && round == 200) {
            ready();
            told = true;
        }
        if (told && !stopping && told_to_verify()) {
            board->stop = true;
            stopping = true;
        }
        while (stopping && ended < Workers && waitpid(-1, NULL, WNOHANG) > 0)
            ended++;
    }
    for (int i = 0; i < 3 * Workers + 1; i++)
        while (poll(&all[i], 1, 0) == 1 && all[i].revents & POLLIN) {
            unsigned before = 0, after = 0;
            for (int worker = 0; worker < Workers; worker++)
                for (int kind = 0; kind < Kinds; kind++)
                    before += board->received[worker][kind];
            hear(all[i].fd, MSG_DONTWAIT);
            for (int worker = 0; worker < Workers; worker++)
                for (int kind = 0; kind < Kinds; kind++)
                    after += board->received[worker][kind];
            if (after == before)
                break; // end of file
        }
    for (int worker = 0; worker < Workers; worker++)
        for (int kind = 0; kind < Kinds; kind++)
            if (board->sent[worker][kind] != board->received[worker][kind])
                fail("worker %d, kind %d: %u sent, %u received", worker, kind, board->sent[worker][kind], board->received[worker][kind]);
    ok();
}
