// beating FILE SECONDS: whether every counter of the victim `checksum` goes on within that time.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4 };

static int look(int fd, unsigned long *counts)
{
    return pread(fd, counts, THREADS * sizeof *counts, 0) == THREADS * sizeof *counts;
}

int main(int count, char **arguments)
{
    if (count != 3)
        return 64;
    unsigned long first[THREADS], now[THREADS];
    int fd = open(arguments[1], O_RDONLY);
    if (fd < 0 || !look(fd, first))
        return 66;
    for (int tries = atoi(arguments[2]) * 500; tries > 0; tries--) {
        int going = 0;
        if (!look(fd, now))
            return 66;
        for (int i = 0; i < THREADS; i++)
            going += now[i] > first[i];
        if (going == THREADS)
            return 0;
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    for (int i = 0; i < THREADS; i++)
        if (now[i] == first[i])
            printf("thread %d stands still at %lu\n", i, now[i]);
    return 1;
}
