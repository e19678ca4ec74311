// terminal: yes
// A program on a terminal whose other end is outside: at restart it gets the terminal of the restart.
#include "victim.h"
#include <termios.h>

static volatile sig_atomic_t resized;
static void on_resize(int number) { (void)number; resized++; }

int main(void)
{
    must(sigaction(SIGWINCH, &(struct sigaction){.sa_handler = on_resize, .sa_flags = SA_RESTART}, NULL));
    expect(isatty(0) && isatty(1) && isatty(2));
    int tty = must(open("/dev/tty", O_RDWR));
    struct termios before, after;
    must(tcgetattr(0, &before));
    before.c_lflag &= ~(tcflag_t)ECHO;
    must(tcsetattr(0, TCSANOW, &before));
    pid_t session = getsid(0);
    must(printf("before\n"));
    fflush(stdout);
    ready();
    wait_verify_through_signals();
    expect(isatty(0) && isatty(1) && isatty(2));
    must(tcgetattr(0, &after));
    if (after.c_lflag != before.c_lflag)
        fail("local modes are 0%o, were 0%o", after.c_lflag, before.c_lflag);
    expect_equal(getsid(0), session);
    expect_equal(tcgetsid(tty), session);
    expect_equal(tcgetpgrp(0), getpgrp());
    char line[64] = {0};
    printf("after\n");
    fflush(stdout);
    expect(fgets(line, sizeof line, stdin) != NULL);
    expect(strcmp(line, "typed\n") == 0);
    ok();
}
