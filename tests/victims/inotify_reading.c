// Watches that hear of mere reading: the checkpoint itself must not show in them. After a restart the program is told to look again.
#include "victim.h"
#include <sys/inotify.h>

int main(void)
{
    must(mkdir("tree", 0755));
    must(mkdir("tree/below", 0755));
    int all = must(inotify_init1(IN_NONBLOCK)), some = must(inotify_init1(IN_NONBLOCK));
    pid_t pid = getpid();
    int tree = must(inotify_add_watch(all, "tree", IN_ALL_EVENTS));
    int below = must(inotify_add_watch(some, "tree/below", IN_CREATE));
    char path[64];
    sprintf(path, "/proc/%d/stat", pid);
    unsigned long long born, now;
    const char *format = "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu";
    FILE *file = fopen(path, "r");
    expect(file && fscanf(file, format, &born) == 1);
    fclose(file);
    ready();
    wait_verify();
    file = fopen(path, "r");
    expect(file && fscanf(file, format, &now) == 1);
    fclose(file);

    char buffer[4096];
    struct inotify_event *event = (void *)buffer;
    ssize_t got = read(all, buffer, sizeof buffer);
    if (now == born) {
        expect(got == -1 && errno == EAGAIN);
    } else {
        expect_equal(got, sizeof *event);
        expect(event->wd == -1 && event->mask == IN_Q_OVERFLOW);
    }
    if (access("tree/below", F_OK) != 0) {
        // The original went on and removed it.
        expect_equal(read(some, buffer, sizeof buffer), 2 * sizeof *event);
        expect(event[0].wd == -1 && event[0].mask == IN_Q_OVERFLOW && event[1].wd == below && event[1].mask == IN_IGNORED);
        ok();
    }
    // Here nothing happened that it would have heard of.
    expect(read(some, buffer, sizeof buffer) == -1 && errno == EAGAIN);
    must(mkdir("tree/below/deeper", 0755));
    expect(must(read(some, buffer, sizeof buffer)) > 0);
    expect(event->wd == below && event->mask == (IN_CREATE | IN_ISDIR));
    expect(read(all, buffer, sizeof buffer) == -1 && errno == EAGAIN);
    must(rmdir("tree/below/deeper"));
    must(rmdir("tree/below"));
    expect(must(read(all, buffer, sizeof buffer)) > 0);
    expect_equal(event->wd, tree);
    ok();
}
