// killafter FILE MICROSECONDS COMMAND...: starts a command and kills it with SIGKILL so long after a file of this name is there. Prints
// "killed", or "ended CODE" if it was faster.
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000L + time.tv_nsec / 1000;
}

int main(int count, char **arguments)
{
    if (count < 4)
        return 64;
    long wait_us = atol(arguments[2]), end = -1;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
    if (posix_spawnp(&pid, arguments[3], &actions, NULL, arguments + 3, environ) != 0)
        return 71;
    for (;;) {
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            printf("ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
            return 0;
        }
        // Without a pause: microseconds count.
        if (end < 0 && access(arguments[1], F_OK) == 0)
            end = now_us() + wait_us;
        if (end >= 0 && now_us() >= end)
            break;
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    puts("killed");
    return 0;
}
