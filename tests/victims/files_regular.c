// checkpoint: --save-files
// restart: --changed-files rewind
// Regular files: offsets, access, append, synchronous, close-on-exec, O_PATH, high numbers, an offset beyond the end.
#include "victim.h"

int main(void)
{
    char text[100] = {0};
    int made = must(open("file", O_RDWR | O_CREAT | O_TRUNC, 0640));
    must(write(made, "0123456789abcdefghij", 20));
    int reading = must(open("file", O_RDONLY)), writing = must(open("file", O_WRONLY | O_SYNC)),
        append = must(open("file", O_RDWR | O_APPEND | O_CLOEXEC)), path = must(open("file", O_PATH)),
        beyond = must(open("file", O_RDONLY | O_NOATIME | O_NONBLOCK));
    must(lseek(reading, 5, SEEK_SET));
    must(lseek(writing, 10, SEEK_SET));
    must(lseek(append, 3, SEEK_SET));
    must(lseek(beyond, 3000000000, SEEK_SET));
    int high = must(fcntl(reading, F_DUPFD_CLOEXEC, 900));
    must(symlink("file", "link"));
    int link = must(open("link", O_PATH | O_NOFOLLOW));
    int flags[6], fds[6] = {made, reading, writing, append, path, beyond};
    for (int i = 0; i < 6; i++)
        flags[i] = must(fcntl(fds[i], F_GETFL));
    struct stat before, after;
    must(fstat(made, &before));
    ready();
    wait_verify();
    for (int i = 0; i < 6; i++)
        expect_equal(must(fcntl(fds[i], F_GETFL)), flags[i]);
    must(fstat(made, &after));
    expect(before.st_ino == after.st_ino && before.st_mode == after.st_mode && after.st_size == 20);
    expect_equal(must(fcntl(made, F_GETFD)), 0);
    expect_equal(must(fcntl(append, F_GETFD)), FD_CLOEXEC);
    expect_equal(must(fcntl(high, F_GETFD)), FD_CLOEXEC);
    expect_equal(must(lseek(made, 0, SEEK_CUR)), 20);
    expect_equal(must(lseek(append, 0, SEEK_CUR)), 3);
    expect_equal(must(lseek(beyond, 0, SEEK_CUR)), 3000000000);
    expect_equal(must(read(reading, text, 4)), 4);
    expect(memcmp(text, "5678", 4) == 0);
    expect_equal(must(read(high, text, 4)), 4);
    expect(memcmp(text, "9abc", 4) == 0);
    must(write(writing, "XY", 2));
    must(write(append, "end", 3));
    expect_equal(must(pread(made, text, 100, 0)), 23);
    expect(memcmp(text, "0123456789XYcdefghijend", 23) == 0);
    expect(read(writing, text, 1) == -1 && errno == EBADF);
    expect(write(reading, text, 1) == -1 && errno == EBADF);
    expect(read(path, text, 1) == -1 && errno == EBADF);
    must(fstat(path, &after));
    expect(after.st_ino == before.st_ino);
    must(fstat(link, &after));
    expect(S_ISLNK(after.st_mode));
    ok();
}
