// Directories whose changes are told by a signal (F_NOTIFY): every time, or once.
#include "victim.h"

static volatile sig_atomic_t told, from;

static void hear(int signal, siginfo_t *information, void *context)
{
    (void)context;
    (void)signal;
    from = information->si_fd;
    told++;
}

static void await(int wanted)
{
    for (int i = 0; told == 0 && i < 1000; i++)
        nap_through_signals_ms(2);
    expect(told > 0);
    expect_equal(from, wanted);
    told = 0;
}

int main(void)
{
    must(mkdir("always", 0700));
    must(mkdir("once", 0700));
    must(mkdir("never", 0700));
    int always = must(open("always", O_RDONLY | O_DIRECTORY)), once = must(open("once", O_RDONLY | O_DIRECTORY)), never = must(open("never", O_RDONLY | O_DIRECTORY));
    must(sigaction(SIGRTMIN, &(struct sigaction){.sa_sigaction = hear, .sa_flags = SA_SIGINFO | SA_RESTART}, NULL));
    for (int *each = (int[]){always, once, never, -1}; *each >= 0; each++)
        must(fcntl(*each, F_SETSIG, SIGRTMIN));
    if (fcntl(always, F_NOTIFY, DN_CREATE | DN_DELETE | DN_MULTISHOT) != 0)
        skip("no dnotify in this kernel");
    must(fcntl(once, F_NOTIFY, DN_CREATE));
    ready();
    wait_verify_through_signals();
    // What a run before this one left.
    unlink("always/file");
    unlink("once/file");
    unlink("once/other");
    nap_through_signals_ms(10);
    told = 0;
    for (int i = 0; i < 3; i++) {
        close(must(open("always/file", O_WRONLY | O_CREAT | O_EXCL, 0600)));
        await(always);
        must(unlink("always/file"));
        await(always);
    }
    close(must(open("always/file", O_WRONLY | O_CREAT, 0600)));
    await(always);
    int file = must(open("always/file", O_WRONLY));
    must(write(file, "x", 1));
    nap_through_signals_ms(10);
    expect_equal(told, 0);
    close(must(open("never/file", O_WRONLY | O_CREAT, 0600)));
    nap_through_signals_ms(10);
    expect_equal(told, 0);
    close(must(open("once/file", O_WRONLY | O_CREAT, 0600)));
    await(once);
    close(must(open("once/other", O_WRONLY | O_CREAT, 0600)));
    nap_through_signals_ms(10);
    expect_equal(told, 0);
    ok();
}
