// Files on other mounts: a bind mount of a directory, a tmpfs, an overlay with files of its lower layer, changed ones, deleted
// ones, a directory that was renamed; and watches of inotify there.
// restart: --changed-files=keep
#include "victim.h"
#include <sys/inotify.h>
#include <sys/mount.h>

static void put(const char *path, const char *text)
{
    int fd = must(open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644));
    must(write(fd, text, strlen(text)));
    close(fd);
}

static void holds(int fd, const char *text)
{
    char got[64] = "";
    expect_equal(pread(fd, got, sizeof got, 0), strlen(text));
    if (strcmp(got, text) != 0)
        fail("\"%s\" instead of \"%s\"", got, text);
}

static char *name_of(int fd)
{
    char text[4096], path[64];
    sprintf(path, "/proc/self/fd/%d", fd);
    text[must(readlink(path, text, sizeof text - 1))] = 0;
    return strdup(text);
}

int main(void)
{
    char here[4000], options[16384];
    const char *directories[] = {"real", "bound", "memory", "layers", "merged"};
    for (int i = 0; i < 5; i++)
        must(mkdir(directories[i], 0755));
    // Away when the test is over: its directory is removed by others.
    if (mount("real", "bound", NULL, MS_BIND, NULL) != 0)
        skip("no right to mount");
    must(mount("none", "memory", "tmpfs", 0, NULL));
    must(mount("none", "layers", "tmpfs", 0, NULL));
    must(mkdir("layers/lower", 0755));
    must(mkdir("layers/upper", 0755));
    must(mkdir("layers/work", 0755));
    must(mkdir("layers/lower/directory", 0755));
    put("layers/lower/below", "of the lower layer"), put("layers/lower/changed", "lower"), put("layers/lower/deleted", "deleted"), put("layers/lower/directory/file", "x");
    must(getcwd(here, sizeof here) != NULL ? 0 : -1);
    snprintf(options, sizeof options, "lowerdir=%s/layers/lower,upperdir=%s/layers/upper,workdir=%s/layers/work", here, here, here);
    bool overlay = mount("none", "merged", "overlay", 0, options) == 0;

    put("real/file", "bound"), put("memory/file", "memory"), put("memory/gone", "gone");
    int bound = must(open("bound/file", O_RDWR)), real = must(open("real/file", O_RDONLY)), bound_directory = must(open("bound", O_RDONLY | O_DIRECTORY));
    int memory = must(open("memory/file", O_RDWR)), gone = must(open("memory/gone", O_RDWR));
    must(unlink("memory/gone"));
    int watch = must(inotify_init1(IN_NONBLOCK));
    int on_memory = must(inotify_add_watch(watch, "memory", IN_CREATE)), on_bound = must(inotify_add_watch(watch, "bound", IN_CREATE));
    int below = -1, changed = -1, was = -1, deleted = -1, renamed = -1, on_overlay = -1;
    if (overlay) {
        below = must(open("merged/below", O_RDONLY));
        was = must(open("merged/changed", O_RDONLY));
        changed = must(open("merged/changed", O_RDWR));
        must(pwrite(changed, "upper", 5, 0));
        deleted = must(open("merged/deleted", O_RDWR));
        must(unlink("merged/deleted"));
        must(mkdir("merged/old name", 0755));
        renamed = must(open("merged/old name", O_RDONLY | O_DIRECTORY));
        must(rename("merged/old name", "merged/new name"));
        on_overlay = must(inotify_add_watch(watch, "merged/directory", IN_CREATE));
    }
    int all[] = {bound, real, bound_directory, memory, gone, below, was, changed, deleted, renamed};
    char *names[10];
    for (int i = 0; i < 10; i++)
        names[i] = all[i] < 0 ? NULL : name_of(all[i]);
    ready();
    wait_verify();

    for (int i = 0; i < 10; i++)
        if (names[i] && strcmp(names[i], name_of(all[i])) != 0)
            fail("%s is now %s", names[i], name_of(all[i]));
    holds(bound, "bound"), holds(real, "bound"), holds(memory, "memory"), holds(gone, "gone");
    must(pwrite(bound, "BOUND", 5, 0));
    holds(real, "BOUND");
    must(pwrite(bound, "bound", 5, 0));
    struct stat status;
    must(fstatat(bound_directory, "file", &status, 0));
    char buffer[4096];
    struct inotify_event *event = (void *)buffer;
    // After a restart beside an original that went on, the word to look again comes first.
    ssize_t early = read(watch, buffer, sizeof buffer);
    expect(early == -1 || (early == sizeof *event && event->mask == IN_Q_OVERFLOW && access("memory/new", F_OK) == 0));
    unlink("memory/new"), unlink("real/new"), unlink("merged/directory/new");
    put("memory/new", "");
    expect(read(watch, buffer, sizeof buffer) > 0 && event->wd == on_memory && event->mask == IN_CREATE);
    put("real/new", "");
    expect(read(watch, buffer, sizeof buffer) > 0 && event->wd == on_bound);
    if (overlay) {
        holds(below, "of the lower layer"), holds(was, "upper"), holds(changed, "upper"), holds(deleted, "deleted");
        must(pwrite(deleted, "DEL", 3, 0));
        must(mkdirat(renamed, "inside", 0755));
        must(rmdir("merged/new name/inside"));
        put("merged/directory/new", "");
        expect(read(watch, buffer, sizeof buffer) > 0 && event->wd == on_overlay && event->mask == IN_CREATE);
    }
    ok();
}
