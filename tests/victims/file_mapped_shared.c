// checkpoint: --save-files
// restart: --changed-files rewind
// Shared mappings of files: what is written goes to the file; one of a deleted file, shared by two processes; read-only.
#include "victim.h"

int main(void)
{
    char content[4 * 4096], back[4096];
    fill(content, sizeof content, 1);
    int fd = must(open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(write(fd, content, sizeof content));
    char *memory = mmap(NULL, sizeof content, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *reading = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096);
    expect(memory != MAP_FAILED && reading != MAP_FAILED);
    close(fd);
    fill(memory + 4096, 4096, 2);

    int deleted = must(open("deleted", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(ftruncate(deleted, 8 * 4096));
    char *gone = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, deleted, 0);
    char *gone_private = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, deleted, 0);
    expect(gone != MAP_FAILED && gone_private != MAP_FAILED);
    fill(gone, 4 * 4096, 3);
    gone_private[0] = 5;
    must(unlink("deleted"));
    close(deleted);
    struct { atomic_int go; } *board = shared_memory(4096);
    pid_t pid = must(fork());
    if (pid == 0) {
        while (!atomic_load(&board->go))
            nap_ms(5);
        expect(filled(gone, 4 * 4096, 3));
        fill(gone + 5 * 4096, 4096, 4);
        _exit(0);
    }
    ready();
    wait_verify();
    expect(memcmp(memory, content, 4096) == 0 && filled(memory + 4096, 4096, 2) && filled(reading, 4096, 2));
    memory[4096] = 55;
    expect_equal(reading[0], 55);
    fd = must(open("mapped", O_RDONLY));
    expect_equal(must(pread(fd, back, 4096, 4096)), 4096);
    expect_equal(back[0], 55);
    expect(memcmp(back + 8, memory + 4096 + 8, 4088) == 0);
    expect(filled(gone, 4 * 4096, 3));
    expect_equal(gone_private[0], 5);
    atomic_store(&board->go, 1);
    reap_success(pid);
    expect(filled(gone + 5 * 4096, 4096, 4) && filled(gone_private + 5 * 4096, 4096, 4));
    ok();
}
