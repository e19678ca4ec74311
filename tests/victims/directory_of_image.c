// once: it holds on to the directory of the first image that it sees
// snapshot: no a directory is opened while the checkpoint is made
// Who watches the directory that the image is written to opens the image's own the moment it appears, under the name that it has
// only until it is complete. The process is in vfork all the time, with moments between, so that the freeze has to wait for it.
#define _GNU_SOURCE
#include "victim.h"
#include <dirent.h>
#include <sched.h>

static char stack[256 * 1024] __attribute__((aligned(16)));
static int found = -1;

// Whether there is an image; one under its temporary name is opened.
static bool see_image(void)
{
    bool any = false;
    DIR *above = opendir("..");
    for (struct dirent *entry; above != NULL && (entry = readdir(above)) != NULL;) {
        if (strncmp(entry->d_name, "image", 5) != 0)
            continue;
        any = true;
        if (found < 0 && strstr(entry->d_name, ".partial.") != NULL)
            found = openat(dirfd(above), entry->d_name, O_RDONLY | O_DIRECTORY);
    }
    closedir(above);
    return any;
}

static int look(void *unused)
{
    (void)unused;
    for (int i = 0; i < 40 && found < 0; i++) {
        see_image();
        usleep(1000);
    }
    _exit(0);
}

int main(void)
{
    char link[64], path[4096] = {0};
    struct stat status;
    int ended;
    ready();
    while (found < 0 && access("verify", F_OK) != 0) {
        pid_t pid = must(clone(look, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, NULL));
        expect_equal(must(waitpid(pid, &ended, 0)), pid);
        expect_equal(ended, 0);
    }
    wait_verify();
    if (found < 0)
        ok(); // no checkpoint, or one that froze it between two looks
    must(fstat(found, &status));
    expect(S_ISDIR(status.st_mode));
    snprintf(link, sizeof link, "/proc/self/fd/%d", found);
    must(readlink(link, path, sizeof path - 1));
    if (strstr(path, "/image") == NULL || strstr(path, ".partial") != NULL)
        fail("the directory is %.200s", path);
    ok();
}
