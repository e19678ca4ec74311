// Files made without a name (O_TMPFILE), which are given one later; and memory files with awkward names.
#include "victim.h"

static void linked(int fd, const char *name)
{
    char path[64];
    sprintf(path, "/proc/self/fd/%d", fd);
    must(linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW));
}

static char *name_of(int fd)
{
    static char text[256];
    char path[64];
    sprintf(path, "/proc/self/fd/%d", fd);
    text[must(readlink(path, text, sizeof text - 1))] = 0;
    return text;
}

int main(void)
{
    int fd = open(".", O_TMPFILE | O_RDWR, 0640);
    if (fd < 0)
        skip("no O_TMPFILE on this file system");
    must(write(fd, "content", 7));
    int again = must(dup(fd)), memory = must(memfd_create("a (deleted) b", 0)), other = must(memfd_create("x (deleted)", MFD_ALLOW_SEALING));
    must(write(memory, "one", 3));
    must(write(other, "two", 3));
    must(fcntl(other, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
    char *before = strdup(name_of(memory)), *other_before = strdup(name_of(other));
    ready();
    wait_verify();
    expect(strcmp(before, name_of(memory)) == 0);
    expect(strcmp(other_before, name_of(other)) == 0);
    expect_equal(fcntl(other, F_GET_SEALS), F_SEAL_GROW | F_SEAL_SHRINK);
    char text[16] = "";
    expect_equal(pread(other, text, sizeof text, 0), 3);
    expect(memcmp(text, "two", 3) == 0);
    unlink("named");
    linked(fd, "named");
    int named = must(open("named", O_RDONLY));
    struct stat status;
    must(fstat(named, &status));
    expect_equal(status.st_nlink, 1);
    expect_equal(status.st_mode & 07777, 0640);
    expect_equal(read(named, text, sizeof text), 7);
    expect(memcmp(text, "content", 7) == 0);
    must(write(again, " and more", 9));
    expect_equal(read(named, text, sizeof text), 9);
    expect(memcmp(text, " and more", 9) == 0);
    ok();
}
