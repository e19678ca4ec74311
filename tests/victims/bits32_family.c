// A program of 32 bits with children: one of 64 bits, one of 32 bits that is stopped, one whose main thread has ended, one that has ended.
#include "victim.h"

#ifndef __i386__
int main(void)
{
    skip("this compiler makes no 32-bit programs (gcc-multilib)");
}
#else

static int to[2], from[2], late[2];

static void *outlive(void *unused)
{
    (void)unused;
    char byte;
    must(write(from[1], "x", 1));
    expect_equal(read(late[0], &byte, 1), 1);
    _exit(5);
}

int main(void)
{
    int status;
    char text[8] = "";
    must(pipe2(to, O_CLOEXEC));
    must(pipe2(from, O_CLOEXEC));
    must(pipe2(late, O_CLOEXEC));
    pid_t cat = must(fork());
    if (cat == 0) {
        must(dup2(to[0], 0));
        must(dup2(from[1], 1));
        must(execlp("cat", "cat", NULL));
    }
    pid_t stopped = must(fork());
    if (stopped == 0) {
        close(to[1]);
        must(raise(SIGSTOP));
        _exit(3);
    }
    expect_equal(must(waitpid(stopped, &status, WUNTRACED)), stopped);
    expect(WIFSTOPPED(status));
    pid_t headless = must(fork());
    if (headless == 0) {
        pthread_t thread;
        close(to[1]);
        must_zero(pthread_create(&thread, NULL, outlive, NULL));
        syscall(SYS_exit, 0);
    }
    pid_t zombie = must(fork());
    if (zombie == 0)
        _exit(4);
    must(waitid(P_PID, zombie, &(siginfo_t){0}, WEXITED | WNOWAIT));
    // From the thread, and from the program that the first child has become.
    must(write(to[1], "x", 1));
    for (int got = 0; got < 2;)
        got += must(read(from[0], text, 2 - got));
    await_end(headless);
    ready();
    wait_verify();
    must(write(to[1], "there", 5));
    for (int got = 0; got < 5;)
        got += must(read(from[0], text + got, 5 - got));
    expect(strcmp(text, "there") == 0);
    must(close(to[1]));
    reap_success(cat);
    must(kill(stopped, SIGCONT));
    expect_equal(must(waitpid(stopped, &status, 0)), stopped);
    expect_equal(WEXITSTATUS(status), 3);
    must(write(late[1], "x", 1));
    expect_equal(must(waitpid(headless, &status, 0)), headless);
    expect_equal(WEXITSTATUS(status), 5);
    expect_equal(must(waitpid(zombie, &status, 0)), zombie);
    expect_equal(WEXITSTATUS(status), 4);
    ok();
}
#endif
