# gdb and a program of two threads, stopped at a breakpoint most of the time: breakpoints, threads and variables are there after the restart.
needs="gdb gcc"
untouched="threads threads.c commands"
prepare() {
    cat >threads.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static volatile int turns, background;
static void *work(void *nothing)
{
    for (;;) { background++; usleep(1000); }
    return nothing;
}
__attribute__((noinline)) static void turn(int number) { turns = number; }
int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    for (int i = 1; i <= 12; i++) {
        turn(i);
        usleep(2000);
    }
    printf("turns %d, background %s\n", turns, background > 0 ? "ran" : "did not run");
    return 7;
}
END
    gcc -g -O0 -pthread -o threads threads.c
    cat >commands <<'END'
set pagination off
set confirm off
set print thread-events off
break turn
commands
silent
printf "at turn %d after %d\n", number, turns
shell sleep 0.15
end
run
END
    for _ in {1..12}; do echo continue; done >>commands
    echo 'print $_exitcode' >>commands
}
start() { exec gdb -nx -q -batch -x commands ./threads; }
check() {
    diff <(grep -vE '^\[|libthread_db|process [0-9]+' ../reference/stdout.txt) <(grep -vE '^\[|libthread_db|process [0-9]+' stdout.txt) && grep -q 'turns 12, background ran' stdout.txt
}
