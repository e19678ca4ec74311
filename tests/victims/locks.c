// Locks on files: flock, POSIX records, open-file-description locks; held, and waited for.
#include "victim.h"
#include <sys/file.h>

static int flock_fd, record_fd, description_fd;
static atomic_bool go, got[2];

static struct flock range(short type, off_t start, off_t length)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

static void *wait_flock(void *unused)
{
    int fd = must(open("flocked", O_RDWR));
    must(flock(fd, LOCK_EX));
    expect(atomic_load(&go));
    atomic_store(&got[0], true);
    return unused;
}

static void *wait_description(void *unused)
{
    struct flock lock = range(F_WRLCK, 0, 1);
    int fd = must(open("described", O_RDWR));
    must(fcntl(fd, F_OFD_SETLKW, &lock));
    expect(atomic_load(&go));
    atomic_store(&got[1], true);
    return unused;
}

// Another process, for POSIX locks do not hinder the one that has them.
static int look(short type, off_t start)
{
    pid_t pid = must(fork());
    if (pid == 0) {
        struct flock lock = range(type, start, 1);
        must(fcntl(record_fd, F_GETLK, &lock));
        _exit(lock.l_type == F_UNLCK ? 0 : lock.l_pid == getppid() ? 1 : 2);
    }
    int status;
    must(waitpid(pid, &status, 0));
    return WEXITSTATUS(status);
}

int main(void)
{
    pthread_t threads[2];
    flock_fd = must(open("flocked", O_RDWR | O_CREAT, 0666));
    must(flock(flock_fd, LOCK_EX));
    record_fd = must(open("recorded", O_RDWR | O_CREAT, 0666));
    struct flock lock = range(F_WRLCK, 10, 5);
    must(fcntl(record_fd, F_SETLK, &lock));
    lock = range(F_RDLCK, 100, 0);
    must(fcntl(record_fd, F_SETLK, &lock));
    description_fd = must(open("described", O_RDWR | O_CREAT, 0666));
    lock = range(F_WRLCK, 0, 8);
    must(fcntl(description_fd, F_OFD_SETLK, &lock));
    must_zero(pthread_create(&threads[0], NULL, wait_flock, NULL));
    must_zero(pthread_create(&threads[1], NULL, wait_description, NULL));
    nap_ms(20);
    ready();
    wait_verify();
    nap_ms(10);
    expect(!atomic_load(&got[0]) && !atomic_load(&got[1]));
    expect_equal(look(F_RDLCK, 10), 1);
    expect_equal(look(F_RDLCK, 14), 1);
    expect_equal(look(F_WRLCK, 15), 0);
    expect_equal(look(F_RDLCK, 200), 0);
    expect_equal(look(F_WRLCK, 200), 1);
    atomic_store(&go, true);
    must(flock(flock_fd, LOCK_UN));
    lock = range(F_UNLCK, 0, 8);
    must(fcntl(description_fd, F_OFD_SETLK, &lock));
    for (int i = 0; i < 2; i++)
        must_zero(pthread_join(threads[i], NULL));
    ok();
}
