// snapshot: no /dev/tty comes back as the terminal that it stands for
// Pseudo-terminals with both ends inside, in every mode: exclusive, locked, with locked settings, with a speed of its own,
// never opened, closed, with several openings, as /dev/tty; numbers with a gap; a foreground group whose leader has ended.
#include "victim.h"
#include <asm/termbits.h>

// <pty.h> has another struct termios than the kernel.
static int new_master(char *name)
{
    int unlocked = 0, number;
    int master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY));
    must(ioctl(master, TIOCSPTLCK, &unlocked));
    must(ioctl(master, TIOCGPTN, &number));
    sprintf(name, "/dev/pts/%d", number);
    return master;
}

static void same_name(int slave, const char *name)
{
    char after[64];
    must_zero(ttyname_r(slave, after, sizeof after));
    if (strcmp(name, after) != 0)
        fail("the terminal is %s, was %s", after, name);
}

static int get(int fd, unsigned long request)
{
    int value = -1;
    must(ioctl(fd, request, &value));
    return value;
}

static pid_t *shared;

static void session(int slave)
{
    must(setsid());
    must(ioctl(slave, TIOCSCTTY, 0));
    int tty = must(open("/dev/tty", O_RDWR | O_NONBLOCK));
    must(signal(SIGTTOU, SIG_IGN) == SIG_ERR ? -1 : 0);
    // A foreground job whose leader ends while another of it goes on.
    pid_t leader = must(fork());
    if (leader == 0) {
        must(setpgid(0, 0));
        if (must(fork()) == 0) {
            while (!told_to_verify())
                nap_ms(5);
            must(write(tty, "job", 3));
            _exit(0);
        }
        _exit(0);
    }
    must(prctl(PR_SET_CHILD_SUBREAPER, 1));
    setpgid(leader, leader);
    int group = leader;
    must(ioctl(slave, TIOCSPGRP, &group));
    must(waitpid(leader, NULL, 0));
    *shared = leader;
    while (!told_to_verify())
        nap_ms(5);
    expect_equal(get(tty, TIOCGPGRP), leader);
    expect_equal(get(tty, TIOCGSID), getpid());
    expect((must(fcntl(tty, F_GETFL)) & O_NONBLOCK) != 0);
    must(waitpid(-1, NULL, 0));
    _exit(0);
}

int main(void)
{
    char exclusive_name[64], locked_name[64], gap_name[64], speed_name[64], never_name[64], closed_name[64], session_name[64], text[64];
    int exclusive = new_master(exclusive_name), gap = new_master(gap_name), locked = new_master(locked_name), speed = new_master(speed_name);
    int never = new_master(never_name), closed = new_master(closed_name), controlling = new_master(session_name);

    int exclusive_slave = must(open(exclusive_name, O_RDWR | O_NOCTTY));
    int reading = must(open(exclusive_name, O_RDONLY | O_NOCTTY | O_NONBLOCK)), writing = must(open(exclusive_name, O_WRONLY | O_NOCTTY | O_APPEND));
    must(ioctl(exclusive_slave, TIOCEXCL));
    must(close(gap));

    (void)speed;

    int locked_slave = must(open(locked_name, O_RDWR | O_NOCTTY)), on = 1;
    must(ioctl(locked, TIOCSPTLCK, &on));

    int speed_slave = must(open(speed_name, O_RDWR | O_NOCTTY));
    struct termios2 settings, after;
    must(ioctl(speed_slave, TCGETS2, &settings));
    settings.c_cflag = (settings.c_cflag & ~(CBAUD | CBAUD << IBSHIFT)) | BOTHER | BOTHER << IBSHIFT;
    settings.c_ispeed = 12345;
    settings.c_ospeed = 54321;
    settings.c_iflag |= IUTF8;
    settings.c_cc[VERASE] = 8;
    must(ioctl(speed_slave, TCSETS2, &settings));
    must(ioctl(speed_slave, TCGETS2, &settings));
    struct termios locks = {.c_lflag = ECHO}, locks_after;
    must(ioctl(speed_slave, TIOCSLCKTRMIOS, &locks));

    must(close(must(open(closed_name, O_RDWR | O_NOCTTY))));

    int slave = must(open(session_name, O_RDWR | O_NOCTTY));
    shared = shared_memory(4096);
    pid_t child = must(fork());
    if (child == 0)
        session(slave);
    while (__atomic_load_n(shared, __ATOMIC_SEQ_CST) == 0)
        nap_ms(1);
    struct winsize size = {11, 22, 33, 44}, size_after;
    must(ioctl(controlling, TIOCSWINSZ, &size));
    ready();
    wait_verify();

    same_name(exclusive_slave, exclusive_name);
    same_name(locked_slave, locked_name);
    same_name(speed_slave, speed_name);
    same_name(slave, session_name);
    expect_equal(get(exclusive_slave, TIOCGEXCL), 1);
    expect_equal(get(speed_slave, TIOCGEXCL), 0);
    expect_equal(must(fcntl(reading, F_GETFL)) & (O_ACCMODE | O_NONBLOCK | O_APPEND), O_RDONLY | O_NONBLOCK);
    expect_equal(must(fcntl(writing, F_GETFL)) & (O_ACCMODE | O_NONBLOCK | O_APPEND), O_WRONLY | O_APPEND);
    expect(read(reading, text, 1) == -1 && errno == EAGAIN);
    must(write(writing, "x", 1));
    expect_equal(must(read(exclusive, text, sizeof text)), 1);
    expect_equal(get(locked, TIOCGPTLCK), 1);
    must(write(locked_slave, "y", 1));
    expect_equal(must(read(locked, text, sizeof text)), 1);
    expect(open(locked_name, O_RDWR | O_NOCTTY) == -1 && errno == EIO);
    must(ioctl(speed_slave, TCGETS2, &after));
    expect(memcmp(&settings, &after, sizeof after) == 0);
    must(ioctl(speed_slave, TIOCGLCKTRMIOS, &locks_after));
    expect_equal(locks_after.c_lflag, ECHO);
    // Nobody has opened it, so the master waits; where it was opened and closed, it has ended.
    must(fcntl(never, F_SETFL, O_RDWR | O_NONBLOCK));
    expect(read(never, text, 1) == -1 && errno == EAGAIN);
    expect(read(closed, text, 1) == -1 && errno == EIO);
    must(ioctl(slave, TIOCGWINSZ, &size_after));
    expect(memcmp(&size, &size_after, sizeof size) == 0);
    reap_success(child);
    expect_equal(must(read(controlling, text, sizeof text)), 3);
    expect(memcmp(text, "job", 3) == 0);
    ok();
}
