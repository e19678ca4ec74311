// segment KEY: attaches the System V shared memory of that key, says so, and stays until it is killed.
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    if (count != 2)
        return 64;
    int id = shmget((key_t)strtol(arguments[1], NULL, 0), 0, 0);
    if (id < 0 || shmat(id, NULL, SHM_RDONLY) == (void *)-1)
        return 66;
    puts("attached");
    fflush(stdout);
    for (;;)
        pause();
}
