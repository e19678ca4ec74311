// What a process is beside its memory: working directory, umask, limits, oom score, name, personality, timer slack,
// core-dump filter, dumpable, death signal, subreaper, transparent huge pages off, keep-capabilities.
#include "victim.h"
#include <sys/personality.h>

static char *line_of(const char *path)
{
    char *text = read_all(path, NULL);
    text[strcspn(text, "\n")] = 0;
    return text;
}

static void put(const char *path, const char *text)
{
    int fd = must(open(path, O_WRONLY));
    must(write(fd, text, strlen(text)));
    close(fd);
}

static int get(int option)
{
    int value = -1;
    must(prctl(option, &value, 0, 0, 0));
    return value;
}

static void *other(void *unused)
{
    must(prctl(PR_SET_TIMERSLACK, 77777));
    must(prctl(PR_SET_NAME, "other thread"));
    *(atomic_int *)unused = 1;
    wait_verify();
    expect_equal(prctl(PR_GET_TIMERSLACK), 77777);
    char name[16];
    must(prctl(PR_GET_NAME, name));
    expect(strcmp(name, "other thread") == 0);
    return NULL;
}

int main(void)
{
    char before[4096], after[4096];
    atomic_int started = 0;
    umask(0037);
    must(prctl(PR_SET_NAME, "fifteen letters"));
    must(personality(ADDR_NO_RANDOMIZE | UNAME26));
    must(prctl(PR_SET_TIMERSLACK, 123456));
    must(prctl(PR_SET_DUMPABLE, 0));
    must(prctl(PR_SET_DUMPABLE, 1));
    must(prctl(PR_SET_PDEATHSIG, SIGWINCH));
    must(prctl(PR_SET_CHILD_SUBREAPER, 1));
    must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
    must(prctl(PR_SET_KEEPCAPS, 1));
    put("/proc/self/oom_score_adj", "321");
    put("/proc/self/coredump_filter", "0x7");
    static const struct { int resource; struct rlimit limit; } limits[] = {
        {RLIMIT_NOFILE, {300, 400}}, {RLIMIT_CORE, {0, 12345}}, {RLIMIT_STACK, {7 << 20, 9 << 20}},
        {RLIMIT_FSIZE, {1 << 30, 1 << 30}}, {RLIMIT_NPROC, {5000, 6000}}, {RLIMIT_MEMLOCK, {65536, 70000}},
        {RLIMIT_AS, {64UL << 30, 65UL << 30}}, {RLIMIT_CPU, {5000, 5001}}, {RLIMIT_SIGPENDING, {900, 901}},
        {RLIMIT_NICE, {20, 20}}, {RLIMIT_RTPRIO, {5, 7}},
    };
    enum { LIMITS = sizeof limits / sizeof *limits };
    bool set[LIMITS];
    // Those that the cage may not raise stay as they are.
    for (int i = 0; i < LIMITS; i++)
        set[i] = setrlimit(limits[i].resource, &limits[i].limit) == 0;
    must(mkdir("inside", 0777));
    int base = must(open(".", O_PATH | O_DIRECTORY));
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, other, &started));
    while (!atomic_load(&started))
        nap_ms(1);
    char *score = line_of("/proc/self/oom_score_adj"), *filter = line_of("/proc/self/coredump_filter");
    must(chdir("inside"));
    expect(getcwd(before, sizeof before) != NULL);
    must(fchdir(base));
    ready();
    wait_verify();
    must_zero(pthread_join(thread, NULL));
    expect_equal(umask(0), 0037);
    must(prctl(PR_GET_NAME, after));
    expect(strcmp(after, "fifteen letters") == 0);
    expect_equal(personality(0xffffffff), ADDR_NO_RANDOMIZE | UNAME26);
    expect_equal(prctl(PR_GET_TIMERSLACK), 123456);
    expect_equal(prctl(PR_GET_DUMPABLE), 1);
    expect_equal(get(PR_GET_PDEATHSIG), SIGWINCH);
    expect_equal(get(PR_GET_CHILD_SUBREAPER), 1);
    expect_equal(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
    expect_equal(prctl(PR_GET_KEEPCAPS), 1);
    expect(strcmp(score, line_of("/proc/self/oom_score_adj")) == 0);
    expect(strcmp(filter, line_of("/proc/self/coredump_filter")) == 0);
    for (int i = 0; i < LIMITS; i++) {
        struct rlimit now;
        must(getrlimit(limits[i].resource, &now));
        if (set[i] && (now.rlim_cur != limits[i].limit.rlim_cur || now.rlim_max != limits[i].limit.rlim_max))
            fail("limit %d is %lu %lu, was %lu %lu", limits[i].resource, now.rlim_cur, now.rlim_max,
                 limits[i].limit.rlim_cur, limits[i].limit.rlim_max);
    }
    must(fchdir(base));
    must(chdir("inside"));
    expect(getcwd(after, sizeof after) != NULL);
    expect(strcmp(before, after) == 0);
    must(fchdir(base));
    ok();
}
