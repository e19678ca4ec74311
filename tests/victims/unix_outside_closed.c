// driven: by tests/Stasis.ProcessTests/OutsideSocketTests.cs
// Connections to a process outside of the tree come back as if that had closed them: what has arrived can be read, then the end.
#include "victim.h"
#include <sys/un.h>

static int ends[2], packets[2];

static void talk(void)
{
    must(send(ends[1], "hello", 5, 0));
    must(send(packets[1], "one", 3, 0));
    must(send(packets[1], "two", 3, 0));
}

int main(void)
{
    char text[8];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets));
    outside(talk);
    close(ends[1]);
    close(packets[1]);
    ready();
    wait_verify();
    expect_equal(must(recv(ends[0], text, 8, 0)), 5);
    expect_equal(must(recv(ends[0], text, 8, 0)), 0);
    expect(send(ends[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    expect_equal(must(recv(packets[0], text, 8, 0)), 3);
    expect_equal(must(recv(packets[0], text, 8, 0)), 3);
    expect_equal(must(recv(packets[0], text, 8, 0)), 0);
    ok();
}
