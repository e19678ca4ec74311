// refused: typed lines wait to be read
// A pseudo-terminal with both ends inside, and a whole line typed ahead: where lines end can't be looked at.
#include "victim.h"
#include <pty.h>
#include <termios.h>

int main(void)
{
    int master, slave;
    char text[32];
    must(openpty(&master, &slave, NULL, NULL, NULL));
    must(write(master, "a line\nhalf", 11));
    ready();
    wait_verify();
    expect_equal(must(read(slave, text, sizeof text)), 7);
    expect(memcmp(text, "a line\n", 7) == 0);
    ok();
}
