// checkpoint: --save-files
// restart: --changed-files rewind
// Deleted files: content, offset, two descriptors and a mapping of one, two processes; empty,
// sparse and nameless ones; a file of the same name that is there instead must stay what it is.
#include "victim.h"

int main(void)
{
    char text[100];
    struct { atomic_int go; } *board = shared_memory(4096);
    int file = must(open("doomed", O_RDWR | O_CREAT | O_TRUNC, 0640)), second = must(open("doomed", O_RDONLY));
    must(write(file, "content of the deleted", 22));
    must(lseek(second, 8, SEEK_SET));
    char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    expect(memory != MAP_FAILED);
    must(unlink("doomed"));
    int other = must(open("doomed", O_RDWR | O_CREAT | O_EXCL, 0666));
    must(write(other, "another", 7));
    close(other);

    int empty = must(open("empty", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0666));
    must(unlink("empty"));
    int sparse = must(open("sparse", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(pwrite(sparse, "far", 3, 3000000000));
    must(unlink("sparse"));
    // Never had a name at all.
    int unnamed = open(".", O_TMPFILE | O_RDWR, 0666);
    if (unnamed >= 0)
        must(write(unnamed, "unnamed", 7));
    pid_t pid = must(fork());
    if (pid == 0) {
        while (!atomic_load(&board->go))
            nap_ms(3);
        must(pwrite(file, "by the child", 12, 0));
        _exit(0);
    }
    ready();
    wait_verify();
    struct stat status, status_second;
    must(fstat(file, &status));
    must(fstat(second, &status_second));
    expect(status.st_nlink == 0 && status.st_size == 22 && (status.st_mode & 0777) == 0640);
    expect(status.st_ino == status_second.st_ino && status.st_dev == status_second.st_dev);
    expect_equal(must(lseek(file, 0, SEEK_CUR)), 22);
    expect_equal(must(read(second, text, 100)), 14);
    expect(memcmp(text, "of the deleted", 14) == 0);
    expect(memcmp(memory, "content of the deleted", 22) == 0);
    atomic_store(&board->go, 1);
    reap_success(pid);
    expect_equal(must(pread(second, text, 100, 0)), 22);
    expect(memcmp(text, "by the childhe deleted", 22) == 0);
    expect(memcmp(memory, "by the childhe deleted", 22) == 0);
    other = must(open("doomed", O_RDONLY));
    expect_equal(must(read(other, text, 100)), 7);
    must(fstat(empty, &status));
    expect(status.st_size == 0 && status.st_nlink == 0);
    must(write(empty, "x", 1));
    must(fstat(sparse, &status));
    expect(status.st_size == 3000000003 && status.st_blocks < 1000);
    expect_equal(must(pread(sparse, text, 10, 3000000000)), 3);
    if (unnamed >= 0) {
        expect_equal(must(pread(unnamed, text, 100, 0)), 7);
        must(fstat(unnamed, &status));
        expect_equal(status.st_nlink, 0);
    }
    ok();
}
