// refused: shared|outside
// System V shared memory that a process outside of the tree has attached, too.
#include "victim.h"
#include <sys/ipc.h>
#include <sys/shm.h>

static char *memory;

static void have(void)
{
    fill(memory, 4096, 1);
}

int main(void)
{
    int id = must(shmget(IPC_PRIVATE, 8192, 0600 | IPC_CREAT));
    memory = shmat(id, NULL, 0);
    expect(memory != (char *)-1);
    must(shmctl(id, IPC_RMID, NULL));
    outside(have);
    fill(memory + 4096, 4096, 2);
    ready();
    wait_verify();
    expect(filled(memory, 4096, 1) && filled(memory + 4096, 4096, 2));
    ok();
}
