// holdat N MILLISECONDS|kill COMMAND...: runs a command and holds its main thread still for that time just after its Nth
// ptrace call that lets a task run (PTRACE_CONT; PTRACE_SYSCALL counts where it is to be killed), or kills it there. Prints
// "held", or "never" if there are not so many; then the command's exit code.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    if (count < 4)
        return 64;
    long wanted = atol(arguments[1]), milliseconds = atol(arguments[2]), seen = 0;
    pid_t pid = fork();
    if (pid == 0) {
        // Standard output is for what we have to say.
        int nothing = open("/dev/null", O_WRONLY);
        dup2(nothing, 1);
        close(nothing);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execvp(arguments[3], arguments + 3);
        _exit(127);
    }
    int status, held = 0, to_kill = strcmp(arguments[2], "kill") == 0;
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        return 1;
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    int signal = 0, entering = 1;
    while (ptrace(PTRACE_SYSCALL, pid, 0, signal) == 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        signal = 0;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
            continue;
        }
        struct user_regs_struct registers;
        ptrace(PTRACE_GETREGS, pid, 0, &registers);
        entering = !entering;
        if (!entering || registers.orig_rax != SYS_ptrace || registers.rax != 0)
            continue;
        if (!(registers.rdi == PTRACE_CONT || (to_kill && registers.rdi == PTRACE_SYSCALL)) || ++seen != wanted)
            continue;
        if (to_kill) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            held = 1;
            break;
        }
        struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
        nanosleep(&time, NULL);
        held = 1;
        ptrace(PTRACE_DETACH, pid, 0, 0);
        waitpid(pid, &status, 0);
        break;
    }
    printf("%s %d\n", held ? "held" : "never", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}
