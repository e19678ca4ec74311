// Children that have ended and are not waited for: exit codes, signals, core flag, group, session, CPU clock of waitid.
#include "victim.h"

enum { CHILDREN = 7 };

static void end(int number)
{
    must(prctl(PR_SET_DUMPABLE, 1));
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    switch (number) {
    case 0: _exit(0);
    case 1: _exit(3);
    case 2: _exit(255);
    case 3: must(kill(getpid(), SIGKILL)); break;
    case 4: must(kill(getpid(), SIGTERM)); break;
    case 5: must(setpgid(0, 0)); _exit(17);
    case 6: must(setsid()); must(kill(getpid(), SIGSEGV)); break;
    }
    for (;;)
        pause();
}

int main(void)
{
    static const int code[CHILDREN] = {0, 3, 255, SIGKILL, SIGTERM, 17, SIGSEGV};
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        if ((children[i] = must(fork())) == 0)
            end(i);
    for (int i = 0; i < CHILDREN; i++) {
        siginfo_t info;
        must(waitid(P_PID, children[i], &info, WEXITED | WNOWAIT));
    }
    ready();
    wait_verify();
    expect_equal(getpgid(children[5]), children[5]);
    expect_equal(getsid(children[6]), children[6]);
    expect_equal(getpgid(children[0]), getpgrp());
    for (int i = 0; i < CHILDREN; i++) {
        siginfo_t info = {0};
        must(waitid(P_PID, children[i], &info, WEXITED | WNOWAIT | WNOHANG));
        expect_equal(info.si_pid, children[i]);
        bool killed = i == 3 || i == 4 || i == 6;
        expect_equal(info.si_code, killed ? CLD_KILLED : CLD_EXITED);
        expect_equal(info.si_status, code[i]);
        int status;
        struct rusage usage;
        expect_equal(must(wait4(children[i], &status, WNOHANG, &usage)), children[i]);
        expect_equal(status, killed ? code[i] : code[i] << 8);
    }
    expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    ok();
}
