// beating FILE SECONDS [PID]: whether every counter of a busy victim (victims/beats.h) goes on within that time, and as long as that process lives.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 64 };

int main(int count, char **arguments)
{
    if (count < 3)
        return 64;
    unsigned long first[MOST], now[MOST];
    int fd = open(arguments[1], O_RDONLY);
    ssize_t length = fd < 0 ? -1 : pread(fd, first, sizeof first, 0);
    int number = length / (int)sizeof *first;
    if (length <= 0)
        return 66;
    for (int tries = atoi(arguments[2]) * 500; tries > 0; tries--) {
        int going = 0;
        if (pread(fd, now, sizeof now, 0) != length)
            return 66;
        for (int i = 0; i < number; i++)
            going += now[i] > first[i];
        if (going == number)
            return 0;
        char process[64];
        snprintf(process, sizeof process, "/proc/%s/exe", count > 3 ? arguments[3] : "self");
        if (access(process, F_OK) != 0)
            break;
        nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    for (int i = 0; i < number; i++)
        if (now[i] == first[i])
            printf("number %d stands still at %lu\n", i, now[i]);
    return 1;
}
