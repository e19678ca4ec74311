// fanotify: marks of files, directories, a mount and a file system, ignored ones; a restart tells to look again.
#include "victim.h"
#include <sys/fanotify.h>

#ifndef FAN_REPORT_DFID_NAME
#define FAN_REPORT_DFID_NAME 0xc00
#endif

static char buffer[65536] __attribute__((aligned(8)));

// Whether an event with these bits came; of an overflow nothing else is asked.
static unsigned long long drain(int group)
{
    unsigned long long seen = 0;
    ssize_t got;
    while ((got = read(group, buffer, sizeof buffer)) > 0)
        for (struct fanotify_event_metadata *event = (void *)buffer; FAN_EVENT_OK(event, got); event = FAN_EVENT_NEXT(event, got)) {
            seen |= event->mask;
            if (event->fd >= 0)
                close(event->fd);
        }
    if (got < 0 && errno != EAGAIN)
        fail("read of a fanotify group: %s", strerror(errno));
    return seen;
}

static void touch(const char *path)
{
    int fd = must(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    must(write(fd, "x", 1));
    close(fd);
}

static char told[16][300];

// The lines of the marks, but for what names a file without a name.
static int marks(int group, char (*lines)[300])
{
    char path[64], *text, *line, *rest;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", group);
    text = read_all(path, NULL);
    int count = 0;
    for (line = strtok_r(text, "\n", &rest); line != NULL && count < 16; line = strtok_r(NULL, "\n", &rest))
        if (strncmp(line, "fanotify", 8) == 0)
            snprintf(lines[count++], 300, "%s", line);
    free(text);
    return count;
}

// Every pipe has another number: it tells whether this is a restart.
static ino_t number_of(int pipe_end)
{
    struct stat status;
    must(fstat(pipe_end, &status));
    return status.st_ino;
}

int main(void)
{
    int files = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_LARGEFILE | O_CLOEXEC);
    if (files < 0)
        skip("fanotify is not allowed here");
    int names = must(fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_DFID_NAME, 0)), mount = must(fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY)), empty = must(fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY));
    must(mkdir("directory", 0700));
    touch("file");
    touch("ignored");
    must(fanotify_mark(files, FAN_MARK_ADD, FAN_MODIFY | FAN_CLOSE_WRITE, AT_FDCWD, "file"));
    must(fanotify_mark(files, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD, "directory"));
    must(fanotify_mark(files, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY, AT_FDCWD, "ignored"));
    bool has_names = fanotify_mark(names, FAN_MARK_ADD, FAN_CREATE | FAN_DELETE | FAN_ONDIR, AT_FDCWD, "directory") == 0;
    bool has_mount = fanotify_mark(mount, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_CLOSE_WRITE, AT_FDCWD, ".") == 0 && fanotify_mark(mount, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, AT_FDCWD, ".") == 0;
    int waiting = must(fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY)), ends[2];
    must(pipe(ends));
    ino_t number = number_of(ends[0]);
    must(fanotify_mark(waiting, FAN_MARK_ADD, FAN_CLOSE_WRITE, AT_FDCWD, "file"));
    touch("file");
    drain(files);
    drain(mount);
    int count = marks(files, told);
    expect_equal(count, 4);
    ready();
    wait_verify();
    char now[16][300];
    expect_equal(marks(files, now), count);
    for (int i = 0; i < count; i++) {
        bool found = false;
        for (int j = 0; j < count; j++)
            found = found || strcmp(told[i], now[j]) == 0;
        if (!found)
            fail("there is no mark any more as %s", told[i]);
    }
    bool again = number_of(ends[0]) != number;
    expect_equal(drain(waiting), again ? FAN_Q_OVERFLOW : FAN_CLOSE_WRITE);
    expect_equal(drain(files), again ? FAN_Q_OVERFLOW : 0);
    expect_equal(drain(names), again && has_names ? FAN_Q_OVERFLOW : 0);
    unsigned long long of_all = drain(mount);
    expect(!again || !has_mount || (of_all & FAN_Q_OVERFLOW) != 0);
    expect_equal(drain(empty), 0);
    touch("ignored");
    expect_equal(drain(files), 0);
    touch("file");
    expect_equal(drain(files), FAN_MODIFY | FAN_CLOSE_WRITE);
    touch("directory/new");
    expect_equal(drain(files), FAN_OPEN);
    if (has_names)
        expect_equal(drain(names), FAN_CREATE);
    if (has_mount)
        expect((drain(mount) & (FAN_CLOSE_WRITE | FAN_MODIFY)) == (FAN_CLOSE_WRITE | FAN_MODIFY));
    must(unlink("directory/new"));
    if (has_names)
        expect_equal(drain(names), FAN_DELETE);
    // Room for as many as before.
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "directory/%d", i);
        touch(name);
    }
    expect_equal(drain(files), FAN_OPEN);
    ok();
}
