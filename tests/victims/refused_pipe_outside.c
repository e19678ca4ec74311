// refused: pipe
// A pipe, at descriptor 5, whose other end is in a process outside of the tree.
#include "victim.h"

static int ends[2];

static void write_later(void)
{
    must(write(ends[1], "hello", 5));
}

int main(void)
{
    must(pipe2(ends, O_CLOEXEC));
    outside(write_later);
    must(dup2(ends[0], 5));
    close(ends[0]);
    close(ends[1]);
    ready();
    wait_verify();
    char text[8];
    expect_equal(must(read(5, text, 8)), 5);
    ok();
}
