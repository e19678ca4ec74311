// driven: by TerminalTests
// A pseudo-terminal with both ends inside, and as much output waiting as there is room for.
#include "victim.h"
#include <pty.h>
#include <termios.h>

int main(void)
{
    int master, slave;
    static char text[65536];
    struct termios settings;
    must(openpty(&master, &slave, NULL, NULL, NULL));
    must(tcgetattr(slave, &settings));
    cfmakeraw(&settings);
    must(tcsetattr(slave, TCSANOW, &settings));
    must(fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK));
    must(fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK));
    size_t written = 0, got = 0;
    ssize_t some;
    memset(text, 'x', sizeof text);
    for (int tries = 0; tries < 100; tries++)
        if ((some = write(slave, text, 1000)) > 0)
            written += some;
        else
            nap_ms(1);
    ready();
    wait_verify();
    for (int tries = 0; got < written && tries < 1000; tries++)
        if ((some = read(master, text, sizeof text)) > 0)
            got += some;
        else
            nap_ms(1);
    expect_equal(got, written);
    ok();
}
