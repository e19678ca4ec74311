// What waits in pseudo-terminals with both ends inside: output that nobody has read, keys that nobody has read, half a
// typed line, packet mode, a slave that is closed already, output that is stopped, a buffer that goes around its end.
#include "victim.h"
#include <pty.h>
#include <termios.h>

struct terminal {
    int master, slave;
};

static void set(struct terminal *terminal, tcflag_t input, tcflag_t output, tcflag_t local)
{
    struct termios settings;
    must(tcgetattr(terminal->slave, &settings));
    settings.c_iflag = input;
    settings.c_oflag = output;
    settings.c_lflag = local;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    must(tcsetattr(terminal->slave, TCSANOW, &settings));
}

static struct terminal terminal(tcflag_t input, tcflag_t output, tcflag_t local)
{
    struct terminal made;
    must(openpty(&made.master, &made.slave, NULL, NULL, NULL));
    set(&made, input, output, local);
    return made;
}

static void put(int fd, const char *bytes, size_t length)
{
    expect_equal(must(write(fd, bytes, length)), length);
}

// Reads as many bytes as are wanted, and that there are no more.
static void wanted(int line, int fd, const char *bytes, size_t length)
{
    char text[8192];
    size_t got = 0;
    must(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
    for (int tries = 0; got < length && tries < 400; tries++) {
        ssize_t some = read(fd, text + got, sizeof text - got);
        if (some > 0)
            got += some;
        else
            nap_ms(5);
    }
    nap_ms(20);
    ssize_t more = read(fd, text + got, sizeof text - got);
    if (more > 0)
        got += more;
    text[got] = 0;
    if (got != length || memcmp(text, bytes, length) != 0)
        fail("line %d: %zu bytes instead of %zu: '%s'", line, got, length, text);
    must(fcntl(fd, F_SETFL, O_RDWR));
}
#define reads(fd, text) wanted(__LINE__, fd, text, sizeof text - 1)

static void await(int fd, int bytes)
{
    int waiting = 0;
    for (int tries = 0; waiting < bytes && tries < 400; tries++) {
        must(ioctl(fd, FIONREAD, &waiting));
        nap_ms(5);
    }
    expect_equal(waiting, bytes);
}

int main(void)
{
    // Output as it was written, and what a terminal makes of it.
    struct terminal raw = terminal(0, 0, 0), cooked = terminal(ICRNL | IXON, OPOST | ONLCR, ICANON | ISIG | ECHO | ECHOE | ECHOK | IEXTEN);
    put(raw.slave, "one\ntwo\0three", 13);
    await(raw.master, 13);
    put(cooked.slave, "a line\n", 7);
    await(cooked.master, 8);

    // Half a line, whose echo has been read.
    struct terminal half = terminal(ICRNL | IXON, OPOST | ONLCR, ICANON | ISIG | ECHO | ECHOE | ECHOK | IEXTEN);
    put(half.master, "half a lime", 11);
    reads(half.master, "half a lime");

    // Half a line and output behind it, in packet mode.
    struct terminal packet = terminal(ICRNL | IXON, OPOST | ONLCR, ICANON | ISIG | ECHO | IEXTEN);
    int on = 1;
    must(ioctl(packet.master, TIOCPKT, &on));
    put(packet.master, "typed", 5);
    nap_ms(20);
    put(packet.slave, "said\n", 5);
    await(packet.master, 11);

    // Keys: the carriage return is a line feed by now, and would stay one. Neither echo nor Ctrl-C is to come from them again.
    struct terminal keys = terminal(ICRNL | ISIG, OPOST | ONLCR, ECHO | IEXTEN);
    put(keys.master, "ab\rc\004\026d", 7);
    await(keys.slave, 7);
    set(&keys, ICRNL | INLCR | IXON | ISTRIP, OPOST | ONLCR, ECHO | ISIG | IEXTEN);
    reads(keys.master, "ab\r\nc\004\026d");

    // A slave that is closed: its last words wait, and then the end.
    struct terminal closed = terminal(0, OPOST | ONLCR, 0);
    put(closed.slave, "last words\n", 11);
    await(closed.master, 12);
    must(close(closed.slave));

    // Ctrl-S.
    struct terminal stopped = terminal(ICRNL | IXON, OPOST, ICANON | ISIG | IEXTEN);
    must(fcntl(stopped.slave, F_SETFL, O_RDWR | O_NONBLOCK));
    put(stopped.master, "\023", 1);
    while (write(stopped.slave, "", 1) == 1)
        nap_ms(5);
    must(fcntl(stopped.master, F_SETFL, O_RDWR | O_NONBLOCK));
    char byte;
    while (read(stopped.master, &byte, 1) > 0)
        nap_ms(1);

    // The buffer of the master is a ring of 4096.
    struct terminal ring = terminal(0, 0, 0);
    static char many[3000], back[3000];
    for (int i = 0; i < 3000; i++)
        many[i] = (char)(1 + i % 251);
    put(ring.slave, many, 3000);
    await(ring.master, 3000);
    expect_equal(must(read(ring.master, back, 3000)), 3000);
    put(ring.slave, many, 3000);
    await(ring.master, 3000);

    ready();
    wait_verify();

    reads(raw.master, "one\ntwo\0three");
    reads(cooked.master, "a line\r\n");
    put(half.master, "\177\177ne\r", 5);
    reads(half.slave, "half a line\n");
    reads(half.master, "\b \b\b \bne\r\n");
    int flag = 0;
    must(ioctl(packet.master, TIOCGPKT, &flag));
    expect_equal(flag, 1);
    char text[64];
    expect_equal(must(read(packet.master, text, sizeof text)), 12);
    expect(memcmp(text, "\0typedsaid\r\n", 12) == 0);
    put(packet.master, "\r", 1);
    reads(packet.slave, "typed\n");
    reads(keys.slave, "ab\nc\004\026d");
    reads(keys.master, "");
    reads(closed.master, "last words\r\n");
    expect(read(closed.master, text, 1) == -1 && errno == EIO);
    expect(write(stopped.slave, "x", 1) == -1 && errno == EAGAIN);
    put(stopped.master, "\021", 1);
    nap_ms(50);
    put(stopped.slave, "x", 1);
    reads(stopped.master, "x");
    wanted(__LINE__, ring.master, many, 3000);
    ok();
}
