// Watches of inotify: on directories, files, links, and a file that has lost its name; their numbers, masks and flags. What happens
// later is told under the same numbers, and nothing else is: no trace of the checkpoint or the restart.
#include "victim.h"
#include <sys/inotify.h>

static int quiet, busy;

static void touch(const char *path)
{
    close(must(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)));
}

static int watch(int fd, const char *path, uint32_t mask)
{
    return must(inotify_add_watch(fd, path, mask));
}

// The next event, which must be this one; name NULL for none.
static void next(int fd, int wd, uint32_t mask, const char *name)
{
    char room[sizeof(struct inotify_event) + NAME_MAX + 1] __attribute__((aligned(8)));
    struct inotify_event *event = (void *)room;
    static char buffer[65536];
    static size_t have, at;
    static int of = -1;
    if (of != fd || at == have) {
        of = fd;
        at = 0;
        have = must(read(fd, buffer, sizeof buffer));
    }
    memcpy(room, buffer + at, sizeof *event);
    memcpy(room + sizeof *event, buffer + at + sizeof *event, event->len);
    at += sizeof *event + event->len;
    if (event->wd != wd || event->mask != mask || strcmp(event->len ? event->name : "", name ? name : ""))
        fail("event of watch %d, mask %x, name \"%s\", not of %d, %x, \"%s\"", event->wd, event->mask,
             event->len ? event->name : "", wd, mask, name ? name : "");
}

static void nothing(int fd)
{
    char buffer[4096];
    errno = 0;
    expect(read(fd, buffer, sizeof buffer) == -1 && errno == EAGAIN);
}

int main(void)
{
    char path[64];
    quiet = must(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    busy = must(inotify_init());
    int empty = must(inotify_init1(IN_NONBLOCK));
    must(mkdir("tree", 0755));
    must(mkdir("tree/below", 0755));
    must(mkdir("waits", 0755));
    touch("tree/file"), touch("tree/other"), touch("gone"), touch("old"), touch("once");
    must(symlink("file", "tree/link"));
    int gone = must(open("gone", O_RDWR));

    int removed = watch(quiet, "once", IN_MODIFY);
    int tree = watch(quiet, "tree", IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_EXCL_UNLINK);
    int below = watch(quiet, "tree/below", (IN_ALL_EVENTS & ~(IN_OPEN | IN_ACCESS | IN_CLOSE)) | IN_ONLYDIR);
    int file = watch(quiet, "tree/file", IN_MODIFY);
    int other = watch(quiet, "tree/other", IN_MODIFY);
    int link = watch(quiet, "tree/link", IN_ATTRIB | IN_MOVE_SELF | IN_DONT_FOLLOW);
    int nameless = watch(quiet, "gone", IN_MODIFY | IN_DELETE_SELF);
    int renamed = watch(quiet, "old", IN_MODIFY);
    int once = watch(quiet, "once", IN_ATTRIB | IN_ONESHOT | IN_MASK_ADD);
    expect_equal(once, removed);
    must(inotify_rm_watch(quiet, other));
    must(rename("old", "new"));
    must(unlink("gone"));
    // The removed watch has said so, and the nameless file changed its count of links: taken, so that nothing waits.
    char buffer[4096];
    must(read(quiet, buffer, sizeof buffer));
    nothing(quiet);

    int waiting = watch(busy, "waits", IN_CREATE);
    for (int i = 0; i < 3; i++) {
        sprintf(path, "waits/%d", i);
        touch(path);
    }
    must(fcntl(busy, F_SETFL, O_NONBLOCK));
    ready();
    wait_verify();

    if (access("tree/new", F_OK) == 0) {
        // Restarted after the original went on and did what follows below: that is told as an overflow, and that the link is gone.
        next(quiet, -1, IN_Q_OVERFLOW, NULL);
        next(quiet, link, IN_IGNORED, NULL);
        nothing(quiet);
        must(truncate("tree/file", 8));
        next(quiet, file, IN_MODIFY, NULL);
        must(mkdir("tree/below/deepest", 0755));
        next(quiet, below, IN_CREATE | IN_ISDIR, "deepest");
        must(ftruncate(gone, 3));
        next(quiet, nameless, IN_MODIFY, NULL);
        nothing(quiet);
        ok();
    }
    nothing(empty);
    expect_equal(watch(empty, "tree", IN_CREATE), 1);
    nothing(quiet);
    touch("tree/new");
    next(quiet, tree, IN_CREATE, "new");
    must(mkdir("tree/below/deeper", 0755));
    next(quiet, below, IN_CREATE | IN_ISDIR, "deeper");
    must(truncate("tree/file", 7));
    next(quiet, file, IN_MODIFY, NULL);
    must(truncate("tree/other", 7));
    must(rename("tree/link", "tree/moved"));
    next(quiet, tree, IN_MOVED_TO, "moved");
    next(quiet, link, IN_MOVE_SELF, NULL);
    must(ftruncate(gone, 3));
    next(quiet, nameless, IN_MODIFY, NULL);
    must(truncate("new", 3));
    next(quiet, renamed, IN_MODIFY, NULL);
    must(chmod("once", 0600));
    next(quiet, once, IN_ATTRIB, NULL);
    next(quiet, once, IN_IGNORED, NULL);
    nothing(quiet);
    close(gone);
    next(quiet, nameless, IN_DELETE_SELF, NULL);
    next(quiet, nameless, IN_IGNORED, NULL);
    nothing(quiet);
    // Numbers go on from where they were.
    expect(watch(quiet, "waits", IN_CREATE) > once);

    // Either the events themselves, in the process that they happened in, or the word to look again.
    struct inotify_event *first = (void *)buffer;
    expect(must(read(busy, buffer, sizeof buffer)) >= (ssize_t)sizeof *first);
    if (first->wd == waiting)
        expect(first->mask == IN_CREATE && strcmp(first->name, "0") == 0);
    else
        expect(first->wd == -1 && first->mask == IN_Q_OVERFLOW);
    nothing(busy);
    touch("waits/3");
    next(busy, waiting, IN_CREATE, "3");
    ok();
}
