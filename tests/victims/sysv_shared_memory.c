// System V shared memory: attached by several processes, read-only, cut to pieces, marked for destruction, detached.
#include "victim.h"
#include <sys/ipc.h>
#include <sys/shm.h>

enum { KEY = 0x57a515, SIZE = 3 * 4096 + 5, ROOM = 4 * 4096 };

// What ipcs shows, but for times and the process that attached last.
static void describe(int id, char *text, size_t length)
{
    struct shmid_ds s;
    must(shmctl(id, IPC_STAT, &s));
    snprintf(text, length, "key %x mode %o uid %u gid %u cuid %u cgid %u size %zu attached %lu by %d", s.shm_perm.__key, s.shm_perm.mode, s.shm_perm.uid,
             s.shm_perm.gid, s.shm_perm.cuid, s.shm_perm.cgid, s.shm_segsz, s.shm_nattch, s.shm_cpid);
}

static void *attach(int id, const void *at, int flags)
{
    void *memory = shmat(id, at, flags);
    if (memory == (void *)-1)
        fail("shmat of %d: %s", id, strerror(errno));
    return memory;
}

int main(void)
{
    // Gone with the last process that has it; also what lies behind its size in the last page belongs to the program.
    int gone = must(shmget(IPC_PRIVATE, SIZE, 0600 | IPC_CREAT));
    char *memory = attach(gone, NULL, 0);
    const char *read_only = attach(gone, NULL, SHM_RDONLY);
    must(shmctl(gone, IPC_RMID, NULL));
    fill(memory, ROOM, 1);

    // Nobody has it attached now.
    int detached = must(shmget(KEY, 64 * 4096, 0640 | IPC_CREAT | IPC_EXCL));
    struct shmid_ds owner;
    must(shmctl(detached, IPC_STAT, &owner));
    owner.shm_perm.uid = 1234;
    owner.shm_perm.gid = 4321;
    must(shmctl(detached, IPC_SET, &owner));
    char *there = attach(detached, NULL, 0);
    fill(there + 4096, 8192, 2);
    must(shmdt(there));

    // Two processes talk by it.
    int shared = must(shmget(IPC_PRIVATE, 4096, 0600 | IPC_CREAT));
    volatile int *word = attach(shared, NULL, 0);
    *word = 1;

    // Cut: page 1 unmapped, page 2 for reading only, pages 4 and 5 in two mappings of one protection.
    int cut = must(shmget(IPC_PRIVATE, 8 * 4096, 0600 | IPC_CREAT));
    char *pieces = attach(cut, NULL, 0);
    fill(pieces, 8 * 4096, 3);
    must(munmap(pieces + 4096, 4096));
    must(mprotect(pieces + 2 * 4096, 4096, PROT_READ));
    must(mprotect(pieces + 4 * 4096, 4096, PROT_NONE));
    must(mprotect(pieces + 4 * 4096, 4096, PROT_READ | PROT_WRITE));

    pid_t child = must(fork());
    if (child == 0) {
        while (*word != 2)
            nap_ms(1);
        // An exclusive attach of its own, at an address of its own.
        volatile int *again = attach(shared, NULL, 0);
        *again = filled(memory, ROOM, 1) && filled(pieces, 4096, 3) ? 3 : 4;
        for (;;)
            pause();
    }
    int ids[] = {gone, detached, shared, cut};
    char before[4][256], after[4][256];
    for (int i = 0; i < 4; i++)
        describe(ids[i], before[i], sizeof before[i]);
    ready();
    wait_verify();
    for (int i = 0; i < 4; i++) {
        describe(ids[i], after[i], sizeof after[i]);
        if (strcmp(before[i], after[i]) != 0)
            fail("segment %d: %s, was %s", i, after[i], before[i]);
    }
    expect(filled(memory, ROOM, 1));
    expect(filled(read_only, ROOM, 1));
    memory[SIZE - 1] ^= 1;
    expect(read_only[SIZE - 1] == memory[SIZE - 1]);
    memory[SIZE - 1] ^= 1;
    // For good: it was attached for reading only.
    expect(mprotect((void *)read_only, 4096, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
    *word = 2;
    while (*word == 2)
        nap_ms(1);
    expect_equal(*word, 3);

    expect(filled(pieces, 4096, 3) && filled(pieces + 2 * 4096, 6 * 4096, 3 + 2 * 512));
    unsigned char resident;
    expect(mincore(pieces + 4096, 4096, &resident) == -1 && errno == ENOMEM);
    // shmdt takes all its pieces and nothing else.
    must(shmdt(pieces));
    expect(mincore(pieces + 7 * 4096, 4096, &resident) == -1 && errno == ENOMEM);

    expect_equal(must(shmget(KEY, 0, 0)), detached);
    there = attach(detached, NULL, 0);
    for (int i = 0; i < 64 * 4096; i++)
        if (i / 4096 != 1 && i / 4096 != 2)
            expect(there[i] == 0);
    expect(filled(there + 4096, 8192, 2));
    // It stays when this process is gone: a restart of the same image must take this back.
    memset(there, 'x', 64 * 4096);
    must(shmdt(there));

    must(kill(child, SIGKILL));
    must(waitpid(child, NULL, 0));
    must(shmdt(memory));
    must(shmdt(read_only));
    struct shmid_ds s;
    expect(shmctl(gone, IPC_STAT, &s) == -1 && (errno == EINVAL || errno == EIDRM));
    must(shmctl(shared, IPC_RMID, NULL));
    must(shmctl(cut, IPC_RMID, NULL));
    ok();
}
