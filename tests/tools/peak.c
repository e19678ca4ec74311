// peak FILE COMMAND...: runs a command, ends as it does, and writes into FILE the most memory it had, in KiB.
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static pid_t pid;

static void forward(int number) { kill(pid, number); }

int main(int count, char **arguments)
{
    if (count < 3)
        return 64;
    if (posix_spawnp(&pid, arguments[2], NULL, NULL, arguments + 2, environ) != 0)
        return 127;
    signal(SIGTERM, forward);
    int status;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) != pid)
        ;
    FILE *file = fopen(arguments[1], "w");
    if (!file || fprintf(file, "%ld\n", usage.ru_maxrss) < 0 || fclose(file) != 0)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
