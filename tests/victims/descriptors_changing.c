// driven: by CommandLineTests
// Closes and opens all the time: what is a socket when it is seen is a file, a directory or a pipe when it is looked at.
#include "victim.h"

static atomic_bool enough;

static void hold(int fd)
{
    struct timespec time = {0, 300000};
    nanosleep(&time, NULL);
    must(close(fd));
}

static void *change(void *unused)
{
    while (!atomic_load(&enough)) {
        int ends[2];
        hold(must(socket(AF_INET, SOCK_STREAM, 0)));
        hold(must(open("/proc/self/exe", O_RDONLY)));
        hold(must(socket(AF_UNIX, SOCK_DGRAM, 0)));
        must(pipe2(ends, 0));
        must(close(ends[1]));
        hold(ends[0]);
        hold(must(open(".", O_RDONLY | O_DIRECTORY)));
    }
    return unused;
}

int main(void)
{
    pthread_t thread;
    must_zero(pthread_create(&thread, NULL, change, NULL));
    ready();
    wait_verify();
    atomic_store(&enough, true);
    must_zero(pthread_join(thread, NULL));
    ok();
}
