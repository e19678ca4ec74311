// Files and directories of /proc: of the process itself, its child, its thread, a process outside, a zombie, and one that is gone.
#include "victim.h"
#include <dirent.h>

static int of(pid_t pid, const char *name, int flags)
{
    char path[64];
    sprintf(path, "/proc/%d/%s", pid, name);
    return must(open(path, flags));
}

static char *text_of(int fd)
{
    static char text[65536];
    ssize_t length = must(pread(fd, text, sizeof text - 1, 0));
    text[length] = 0;
    return text;
}

static atomic_int tid;
static atomic_bool go;

static void *thread(void *unused)
{
    must(prctl(PR_SET_NAME, "the thread"));
    atomic_store(&tid, gettid());
    while (!atomic_load(&go))
        nap_ms(2);
    return unused;
}

static pid_t child(void)
{
    pid_t pid = must(fork());
    if (pid == 0) {
        prctl(PR_SET_NAME, "the child");
        for (;;)
            pause();
    }
    return pid;
}

static long word = 4711;

int main(void)
{
    char name[64], piece[16];
    pthread_t other;
    pid_t pid = getpid();
    must_zero(pthread_create(&other, NULL, thread, NULL));
    while (atomic_load(&tid) == 0)
        nap_ms(1);
    pid_t living = child(), gone = child();
    nap_ms(20);
    int own = of(pid, "status", O_RDONLY), memory = of(pid, "mem", O_RDWR), directory = of(pid, "", O_DIRECTORY | O_PATH);
    int of_child = of(living, "stat", O_RDONLY), list = of(pid, "task", O_RDONLY | O_DIRECTORY);
    sprintf(name, "task/%d/comm", atomic_load(&tid));
    int of_thread = of(pid, name, O_RDONLY), of_outsider = of(1, "cmdline", O_RDONLY);
    int of_gone = of(gone, "status", O_RDONLY), gone_list = of(gone, "fd", O_RDONLY | O_DIRECTORY), gone_directory = of(gone, "", O_RDONLY | O_DIRECTORY);
    must(kill(gone, SIGKILL));
    must(waitpid(gone, NULL, 0));
    expect(pread(of_gone, piece, sizeof piece, 0) == -1 && errno == ESRCH);
    pid_t dead = child();
    nap_ms(20);
    int dead_memory = of(dead, "mem", O_RDWR), dead_mappings = of(dead, "maps", O_RDONLY), dead_status = of(dead, "status", O_RDONLY);
    must(kill(dead, SIGKILL));
    siginfo_t end;
    must(waitid(P_PID, dead, &end, WEXITED | WNOWAIT));
    // In the middle of the first line: "Name:\tfiles_of_proc\n"
    expect_equal(read(own, piece, 6), 6);
    char *outsider = strdup(text_of(of_outsider));
    ready();
    wait_verify();
    expect_equal(read(own, piece, 5), 5);
    expect(memcmp(piece, "files", 5) == 0);
    sprintf(name, "\nPid:\t%d\n", pid);
    expect(strstr(text_of(own), name));
    long seen = 0, wanted = 815;
    expect_equal(pread(memory, &seen, sizeof seen, (off_t)(uintptr_t)&word), sizeof seen);
    expect_equal(seen, 4711);
    expect_equal(pwrite(memory, &wanted, sizeof wanted, (off_t)(uintptr_t)&word), sizeof wanted);
    expect_equal(*(volatile long *)&word, 815);
    int through = must(openat(directory, "comm", O_RDONLY));
    expect(strcmp(text_of(through), "files_of_proc\n") == 0);
    sprintf(name, "%d (the child) ", living);
    expect(strncmp(text_of(of_child), name, strlen(name)) == 0);
    expect(strcmp(text_of(of_thread), "the thread\n") == 0);
    expect(strcmp(text_of(of_outsider), outsider) == 0);
    expect(pread(of_gone, piece, sizeof piece, 0) == -1 && errno == ESRCH);
    expect(openat(gone_directory, "stat", O_RDONLY) == -1);
    expect(fcntl(gone_list, F_GETFL) >= 0);
    expect_equal(pread(dead_memory, &seen, sizeof seen, (off_t)(uintptr_t)&word), 0);
    expect_equal(pread(dead_mappings, piece, sizeof piece, 0), 0);
    expect(strstr(text_of(dead_status), "\nState:\tZ (zombie)\n"));
    char link[64], path[64];
    sprintf(name, "/proc/self/fd/%d", dead_memory);
    ssize_t length = must(readlink(name, link, sizeof link - 1));
    link[length] = 0;
    sprintf(path, "/proc/%d/mem", dead);
    expect(strcmp(link, path) == 0);
    expect_equal(waitpid(dead, NULL, 0), dead);
    int threads = 0;
    DIR *listing = fdopendir(list);
    for (struct dirent *entry; (entry = readdir(listing));)
        threads += entry->d_name[0] != '.';
    expect_equal(threads, 2);
    atomic_store(&go, true);
    must_zero(pthread_join(other, NULL));
    must(kill(living, SIGKILL));
    must(waitpid(living, NULL, 0));
    ok();
}
