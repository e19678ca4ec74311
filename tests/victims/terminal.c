// A pseudo-terminal with both ends inside: settings, size, bytes both ways, the session it controls, its
// foreground group, packet mode, and Ctrl-C reaching the right processes.
#include "victim.h"
#include <pty.h>
#include <termios.h>
#include <utmp.h>

static volatile sig_atomic_t interrupted;
static void on_interrupt(int number) { interrupted = number; }

static void shell(int slave)
{
    must(setsid());
    must(ioctl(slave, TIOCSCTTY, 0));
    pid_t job = must(fork());
    if (job == 0) {
        must(setpgid(0, 0));
        must(sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt}, NULL));
        must(sigaction(SIGTTOU, &(struct sigaction){.sa_handler = SIG_IGN}, NULL));
        must(tcsetpgrp(slave, getpgrp()));
        ready();
        while (!interrupted)
            nap_through_signals_ms(3);
        expect_equal(tcgetpgrp(slave), getpgrp());
        int tty = must(open("/dev/tty", O_RDWR));
        must(write(tty, "got it\n", 7));
        _exit(0);
    }
    int status;
    while (waitpid(job, &status, 0) == -1)
        expect(errno == EINTR);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_equal(tcgetsid(slave), getpid());
    _exit(0);
}

int main(void)
{
    int master, slave, raw_master, raw_slave;
    char text[200], name[64], name_after[64];
    struct winsize size = {33, 77, 0, 0};
    must(openpty(&raw_master, &raw_slave, name, NULL, &size));
    struct termios settings, after;
    must(tcgetattr(raw_slave, &settings));
    cfmakeraw(&settings);
    settings.c_cc[VMIN] = 3;
    must(cfsetspeed(&settings, B19200));
    must(tcsetattr(raw_slave, TCSANOW, &settings));
    must(tcgetattr(raw_slave, &settings));
    must(openpty(&master, &slave, NULL, NULL, NULL));
    must(fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK));
    int on = 1;
    must(ioctl(master, TIOCPKT, &on));
    pid_t pid = must(fork());
    if (pid == 0)
        shell(slave);
    wait_verify();

    must(write(raw_master, "to the slave", 12));
    must(write(raw_slave, "to the master", 13));
    struct winsize size_after;
    must(ioctl(raw_slave, TIOCGWINSZ, &size_after));
    expect(size_after.ws_row == 33 && size_after.ws_col == 77);
    must(tcgetattr(raw_slave, &after));
    expect(after.c_iflag == settings.c_iflag && after.c_oflag == settings.c_oflag && after.c_lflag == settings.c_lflag);
    expect(after.c_cflag == settings.c_cflag && memcmp(after.c_cc, settings.c_cc, NCCS) == 0);
    expect_equal(must(read(raw_slave, text, 100)), 12);
    expect(memcmp(text, "to the slave", 12) == 0);
    expect_equal(must(read(raw_master, text, 100)), 13);
    expect(memcmp(text, "to the master", 13) == 0);
    must_zero(ttyname_r(raw_slave, name_after, sizeof name_after));
    if (strcmp(name, name_after) != 0)
        fail("the terminal is %s, was %s", name_after, name);

    must(write(master, "\003", 1));
    reap_success(pid);
    // In packet mode a zero comes before data; the echo of Ctrl-C and the line of the job are there.
    size_t total = 0;
    for (int i = 0; i < 100; i++) {
        ssize_t got = read(master, text + total, sizeof text - 1 - total);
        if (got > 0)
            total += got;
        nap_ms(1);
    }
    text[total] = 0;
    for (size_t i = 0; i < total; i++)
        if (text[i] == 0)
            text[i] = '.';
    if (strstr(text, "got it") == NULL)
        fail("the master reads '%s'", text);
    expect(text[0] != 'g');
    ok();
}
