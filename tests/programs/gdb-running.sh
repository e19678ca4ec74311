# gdb that waits while its program of three threads runs: it goes on running, and then meets the breakpoint that was set at first.
needs="gdb gcc"
untouched="work work.c commands"
prepare() {
    cat >work.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static volatile unsigned long sums[2];
static void *work(void *number)
{
    unsigned long sum = 0;
    for (int i = 0; i < 500; i++) {
        for (int k = 0; k < 1000000; k++) sum = sum * 6364136223846793005ul + k;
        usleep(1000);
    }
    sums[(long)number] = sum;
    return NULL;
}
__attribute__((noinline)) static void arrived(unsigned long first, unsigned long second) { printf("%lx %lx\n", first, second); }
int main(void)
{
    pthread_t threads[2];
    for (long i = 0; i < 2; i++) pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    arrived(sums[0], sums[1]);
    return 3;
}
END
    gcc -g -O1 -pthread -o work work.c
    printf '%s\n' 'set pagination off' 'set print thread-events off' 'break arrived' 'run' 'info args' 'continue' 'print $_exitcode' >commands
}
start() { exec gdb -nx -q -batch -x commands ./work; }
said() { grep -E '^(first|second|[0-9a-f]+ [0-9a-f]+$|\$1)|Program received|SIG' "$1"; }
check() { diff <(said ../reference/stdout.txt) <(said stdout.txt) && grep -q '^first' stdout.txt && same stderr.txt; }
