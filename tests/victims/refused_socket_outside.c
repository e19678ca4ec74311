// refused: socket
// A UNIX socket whose peer is in a process outside of the tree.
#include "victim.h"

static int ends[2];

static void talk(void)
{
    must(send(ends[1], "hello", 5, 0));
}

int main(void)
{
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    outside(talk);
    close(ends[1]);
    ready();
    wait_verify();
    char text[8];
    expect_equal(must(recv(ends[0], text, 8, 0)), 5);
    ok();
}
