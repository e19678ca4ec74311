// A program of 32 bits: calls under way that sleep and wait, x87 and SSE registers, thread-local data, memory, files, a pipe and a child.
#include "victim.h"

#ifndef __i386__
int main(void)
{
    skip("this compiler makes no 32-bit programs (gcc-multilib)");
}
#else

static __thread int own = 4711;

// Nothing but registers from before the checkpoint to after it: all eight of the x87 stack and of SSE, the control word.
static void registers(volatile bool *go)
{
    static double in[8] = {1.5, -2.25, 3.125, 4e300, 5e-300, 6.0, 7.75, 8.5}, out[8];
    static float wide[8][4], after[8][4];
    static unsigned short control = 0x027f, controlled;
    for (int i = 0; i < 32; i++)
        wide[i / 4][i % 4] = i * 1.25f + 1;
    __asm__ volatile("fninit\nfldcw %3\n"
                     "fldl 0(%0)\nfldl 8(%0)\nfldl 16(%0)\nfldl 24(%0)\nfldl 32(%0)\nfldl 40(%0)\nfldl 48(%0)\nfldl 56(%0)\n"
                     "movups 0(%1),%%xmm0\nmovups 16(%1),%%xmm1\nmovups 32(%1),%%xmm2\nmovups 48(%1),%%xmm3\n"
                     "movups 64(%1),%%xmm4\nmovups 80(%1),%%xmm5\nmovups 96(%1),%%xmm6\nmovups 112(%1),%%xmm7\n"
                     "1: pause\ncmpb $0,(%2)\nje 1b\n" ::"r"(in), "r"(wide), "r"(go), "m"(control) : "memory");
    __asm__ volatile("movups %%xmm0,0(%1)\nmovups %%xmm1,16(%1)\nmovups %%xmm2,32(%1)\nmovups %%xmm3,48(%1)\n"
                     "movups %%xmm4,64(%1)\nmovups %%xmm5,80(%1)\nmovups %%xmm6,96(%1)\nmovups %%xmm7,112(%1)\nfnstcw %2\n"
                     "fstpl 56(%0)\nfstpl 48(%0)\nfstpl 40(%0)\nfstpl 32(%0)\nfstpl 24(%0)\nfstpl 16(%0)\nfstpl 8(%0)\nfstpl 0(%0)\n" ::"r"(out), "r"(after), "m"(controlled) : "memory");
    expect(memcmp(in, out, sizeof in) == 0);
    expect(memcmp(wide, after, sizeof wide) == 0);
    expect_equal(controlled, control);
}

static void *spin(void *go)
{
    own = 1;
    registers(go);
    expect_equal(own, 1);
    return NULL;
}

// Long enough for any checkpoint; what ends them is the other side.
static void *poll_long(void *fd)
{
    struct pollfd polled = {(int)(long)fd, POLLIN, 0};
    own = 2;
    expect_equal(poll(&polled, 1, 1000000), 1);
    char byte;
    expect_equal(read(polled.fd, &byte, 1), 1);
    expect_equal(byte, 'p');
    expect_equal(own, 2);
    return NULL;
}

static void *read_long(void *fd)
{
    char byte;
    own = 3;
    expect_equal(read((int)(long)fd, &byte, 1), 1);
    expect_equal(byte, 'r');
    expect_equal(own, 3);
    return NULL;
}

int main(void)
{
    enum { Size = 3 << 20 };
    static volatile bool go;
    pthread_t threads[3];
    int polled[2], waited[2], child[2];
    char *memory = mmap(NULL, Size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED);
    fill(memory, Size, 32);
    must(pipe(polled));
    must(pipe(waited));
    must(pipe(child));
    int file = must(open("file", O_CREAT | O_RDWR, 0666));
    must(write(file, "12345", 5));
    pid_t pid = must(fork());
    if (pid == 0) {
        char byte;
        expect_equal(read(child[0], &byte, 1), 1);
        expect(filled(memory, Size, 32));
        _exit(byte == 'c' ? 0 : 1);
    }
    must_zero(pthread_create(&threads[0], NULL, spin, (void *)&go));
    must_zero(pthread_create(&threads[1], NULL, poll_long, (void *)(long)polled[0]));
    must_zero(pthread_create(&threads[2], NULL, read_long, (void *)(long)waited[0]));
    nap_ms(30);
    ready();
    wait_verify();
    expect_equal(own, 4711);
    expect(filled(memory, Size, 32));
    expect_equal(lseek(file, 0, SEEK_CUR), 5);
    go = true;
    must(write(polled[1], "p", 1));
    must(write(waited[1], "r", 1));
    must(write(child[1], "c", 1));
    reap_success(pid);
    for (int i = 0; i < 3; i++)
        must_zero(pthread_join(threads[i], NULL));
    void *more = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(more != MAP_FAILED);
    free(malloc(1 << 20));
    ok();
}
#endif
