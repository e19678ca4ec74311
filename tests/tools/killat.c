// killat MICROSECONDS COMMAND...: starts a command and kills it with SIGKILL after that time. Prints "killed", or
// "ended CODE" if it was faster. With a time of 0 it is not killed; printed is how many microseconds it took, and CODE.
// Where the environment has a process id as TARGET, "killed frozen" if the command traced that process then.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
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

static int traces(pid_t tracer, const char *target)
{
    char path[64], line[256];
    int found = 0, frozen = 0;
    snprintf(path, sizeof path, "/proc/%s/status", target);
    FILE *status = fopen(path, "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "TracerPid: %d", &found) == 1)
            frozen = found == tracer;
    if (status != NULL)
        fclose(status);
    return frozen;
}

int main(int count, char **arguments)
{
    if (count < 3)
        return 64;
    const char *target = getenv("TARGET");
    int frozen = 0;
    long limit = atol(arguments[1]), begin = now_us();
    pid_t pid;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    // Standard output is for what we have to say.
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, arguments[2], &actions, NULL, arguments + 2, environ) != 0)
        return 127;
    if (limit > 0) {
        long end = begin + limit;
        struct timespec time = {end / 1000000, end % 1000000 * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
            ;
        frozen = target != NULL && traces(pid, target);
        kill(pid, SIGKILL);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid)
        return 1;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (limit == 0)
        printf("%ld %d\n", now_us() - begin, code);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        printf(frozen ? "killed frozen\n" : "killed\n");
    else
        printf("ended %d\n", code);
    return 0;
}
