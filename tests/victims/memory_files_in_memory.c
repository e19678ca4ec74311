// memfd: shared between processes, sealed, mapped shared and private, with its descriptor and without, offset and size.
#include "victim.h"

int main(void)
{
    struct { atomic_int go; } *board = shared_memory(4096);
    int plain = must(memfd_create("plain", MFD_CLOEXEC)), sealed = must(memfd_create("sealed", MFD_ALLOW_SEALING)),
        closed = must(memfd_create("closed", 0)), unmapped = must(memfd_create("never mapped", 0));
    must(ftruncate(plain, 10 * 4096));
    char *shared = mmap(NULL, 6 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, plain, 4096);
    char *private = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, plain, 4096);
    expect(shared != MAP_FAILED && private != MAP_FAILED);
    fill(shared, 6 * 4096, 1);
    // A written page of a private mapping hides what is written to the file later.
    fill(private + 4096, 4096, 2);
    must(lseek(plain, 777, SEEK_SET));

    must(write(sealed, "sealed content", 14));
    must(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));

    must(ftruncate(closed, 8192));
    char *without = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, closed, 0);
    expect(without != MAP_FAILED);
    fill(without, 8192, 3);
    close(closed);

    // Sparse and large: only what is there may be stored.
    must(ftruncate(unmapped, 5000000000));
    must(pwrite(unmapped, "end", 3, 4999999997));
    must(pwrite(unmapped, "start", 5, 0));

    pid_t pid = must(fork());
    if (pid == 0) {
        while (!atomic_load(&board->go))
            nap_ms(5);
        expect(filled(shared, 6 * 4096, 1));
        fill(shared + 8192, 4096, 8);
        fill(without, 4096, 9);
        expect_equal(must(lseek(plain, 0, SEEK_CUR)), 777);
        must(lseek(plain, 888, SEEK_SET));
        _exit(0);
    }
    ready();
    wait_verify();
    expect(filled(shared, 6 * 4096, 1));
    expect(filled(without, 8192, 3));
    atomic_store(&board->go, 1);
    reap_success(pid);
    expect(filled(shared + 8192, 4096, 8) && filled(without, 4096, 9));
    // Seen through the private mapping where it was not written, hidden where it was.
    expect(filled(private + 8192, 4096, 8) && filled(private + 4096, 4096, 2));
    expect_equal(must(lseek(plain, 0, SEEK_CUR)), 888);
    expect(must(fcntl(plain, F_GETFD)) & FD_CLOEXEC);
    struct stat status;
    must(fstat(plain, &status));
    expect_equal(status.st_size, 40960);
    uint64_t page[512];
    expect_equal(must(pread(plain, page, 4096, 3 * 4096)), 4096);
    expect(filled(page, 4096, 8));
    expect_equal(must(fcntl(plain, F_GET_SEALS)), F_SEAL_SEAL);

    expect_equal(must(fcntl(sealed, F_GET_SEALS)), F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    char text[20];
    expect_equal(must(pread(sealed, text, 20, 0)), 14);
    expect(memcmp(text, "sealed content", 14) == 0);
    expect_equal(must(lseek(sealed, 0, SEEK_CUR)), 14);
    expect(write(sealed, "x", 1) == -1 && errno == EPERM);
    char link[64] = {0};
    snprintf(text, sizeof text, "/proc/self/fd/%d", sealed);
    must(readlink(text, link, 63));
    expect(strncmp(link, "/memfd:sealed", 13) == 0);

    must(fstat(unmapped, &status));
    expect_equal(status.st_size, 5000000000);
    expect(status.st_blocks < 1000);
    expect_equal(must(pread(unmapped, text, 10, 4999999990)), 10);
    expect(memcmp(text, "\0\0\0\0\0\0\0end", 10) == 0);
    ok();
}
