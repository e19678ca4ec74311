// restart: --changed-files rewind
// POSIX shared memory by name, written through its mapping all the time: its file's time tells nothing of that.
#include "victim.h"

int main(void)
{
    char name[64];
    struct timespec now; // ids are the same in every cage
    must(clock_gettime(CLOCK_REALTIME, &now));
    snprintf(name, sizeof name, "/stasis-victim-%ld-%ld", (long)now.tv_sec, now.tv_nsec);
    int file = must(shm_open(name, O_RDWR | O_CREAT, 0600));
    must(ftruncate(file, 8192));
    volatile long *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    expect(shared != MAP_FAILED);
    must(close(file));
    volatile long own = 0;
    ready();
    while (access("verify", F_OK) != 0) {
        own++;
        shared[0]++;
        shared[600]++;
        nap_ms(1);
        if (shared[0] != own || shared[600] != own)
            fail("the shared memory has %ld and %ld, this process %ld", shared[0], shared[600], own);
    }
    must(shm_unlink(name));
    ok();
}
