// System V semaphores: values, who used them last, what a process's end undoes, and who waits.
#include "victim.h"
#include <sys/ipc.h>
#include <sys/sem.h>

enum { KEY = 0x57a516, COUNT = 6 };

static void operate(int set, int number, int change, int flags)
{
    struct sembuf operation = {number, change, flags};
    must(semop(set, &operation, 1));
}

static void describe(int set, char *text, size_t length)
{
    struct semid_ds s;
    must(semctl(set, 0, IPC_STAT, &s));
    int used = snprintf(text, length, "key %x mode %o uid %u gid %u cuid %u cgid %u:", s.sem_perm.__key, s.sem_perm.mode, s.sem_perm.uid, s.sem_perm.gid, s.sem_perm.cuid, s.sem_perm.cgid);
    for (unsigned i = 0; i < s.sem_nsems; i++)
        used += snprintf(text + used, length - used, " %ld by %ld", must(semctl(set, i, GETVAL)), must(semctl(set, i, GETPID)));
}

int main(void)
{
    int set = must(semget(KEY, COUNT, 0640 | IPC_CREAT | IPC_EXCL)), other = must(semget(IPC_PRIVATE, 1, 0600 | IPC_CREAT));
    unsigned short start[COUNT] = {10, 0, 32767, 5, 0, 0};
    must(semctl(set, 0, SETALL, start));
    int began[2];
    char byte;
    must(pipe(began));
    pid_t child = must(fork());
    if (child == 0) {
        operate(set, 0, -3, SEM_UNDO);   // its end gives 3
        operate(set, 1, 1, SEM_UNDO);    // its end takes 1
        operate(set, 1, 40, 0);
        operate(set, 2, -32767, SEM_UNDO); // its end gives all there can be
        operate(set, 3, -1, SEM_UNDO);
        operate(set, 3, 1, SEM_UNDO);    // nothing left to undo
        must(write(began[1], "x", 1));
        operate(other, 0, -1, 0); // waits
        operate(set, 4, 7, 0);
        for (;;)
            pause();
    }
    expect_equal(must(read(began[0], &byte, 1)), 1);
    operate(set, 2, 0, 0); // looks only
    operate(set, 5, 4, 0);
    operate(set, 5, -1, SEM_UNDO); // of a process that lives on
    while (must(semctl(other, 0, GETNCNT)) != 1)
        nap_ms(1);
    char before[512], after[512];
    describe(set, before, sizeof before);
    ready();
    wait_verify();
    describe(set, after, sizeof after);
    if (strcmp(before, after) != 0)
        fail("%s, was %s", after, before);
    expect_equal(must(semget(KEY, COUNT, 0)), set);
    expect_equal(must(semctl(set, 4, GETVAL)), 0);
    operate(other, 0, 1, 0);
    while (must(semctl(set, 4, GETVAL)) != 7)
        nap_ms(1);
    must(kill(child, SIGKILL));
    must(waitpid(child, NULL, 0));
    static const int then[COUNT] = {10, 40, 32767, 5, 7, 3};
    for (int i = 0; i < COUNT; i++)
        if (must(semctl(set, i, GETVAL)) != then[i])
            fail("semaphore %d is %ld at the end of the child, not %d", i, must(semctl(set, i, GETVAL)), then[i]);
    must(semctl(other, 0, IPC_RMID));
    // The set stays, and is taken back by a restart of the same image.
    ok();
}
