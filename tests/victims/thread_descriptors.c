// Threads that have parted from their process's descriptor table (unshare, clone without CLONE_FILES): the same number is another file in
// each; one was made by such a thread and shares its table. What is open in several of them shares its offset; a record lock is the table's.
#include "victim.h"

enum { THREADS = 4 };
static atomic_int started;
static atomic_bool verify;
static int number = 200, common, ends[2];

static void hold(const char *name)
{
    int fd = must(open(name, O_RDWR | O_CREAT, 0666));
    must(write(fd, name, strlen(name)));
    must(dup3(fd, number, O_CLOEXEC));
    must(close(fd));
}

static void check(const char *name)
{
    char text[16] = "";
    expect_equal(must(pread(number, text, sizeof text, 0)), strlen(name));
    expect(strcmp(text, name) == 0);
    expect_equal(must(lseek(number, 0, SEEK_CUR)), strlen(name));
    expect_equal(must(fcntl(number, F_GETFD)), FD_CLOEXEC);
}

static void wait_told(void)
{
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&verify))
        nap_ms(2);
}

static atomic_int *made;

// Made by the first thread with its table: what one opens, the other has.
static void *follow(void *unused)
{
    wait_told();
    while (!atomic_load(made))
        nap_ms(2);
    expect_equal(must(pread(atomic_load(made), &(char){0}, 1, 0)), 1);
    return unused;
}

static void *part(void *unused)
{
    static atomic_int opened;
    pthread_t follower;
    struct flock lock = {.l_type = F_WRLCK, .l_start = 5, .l_len = 3};
    made = &opened;
    must(unshare(CLONE_FILES));
    must(close(ends[0]));
    hold("parted");
    must(fcntl(number, F_SETLK, &lock));
    must_zero(pthread_create(&follower, NULL, follow, NULL));
    wait_told();
    check("parted");
    expect_equal(fcntl(ends[0], F_GETFD), -1);
    expect_equal(must(write(ends[1], "x", 1)), 1);
    expect_equal(must(lseek(common, 0, SEEK_CUR)), 7);
    atomic_store(&opened, must(open("parted", O_RDONLY)));
    must_zero(pthread_join(follower, NULL));
    return unused;
}

// A thread that also stands elsewhere.
static void *wander(void *unused)
{
    must(unshare(CLONE_FILES | CLONE_FS));
    mkdir("elsewhere", 0777);
    must(chdir("elsewhere"));
    hold("wandered");
    wait_told();
    check("wandered");
    char where[PATH_MAX];
    expect(getcwd(where, sizeof where) != NULL && strcmp(strrchr(where, '/'), "/elsewhere") == 0);
    return unused;
}

// One with no descriptors at all.
static void *empty(void *unused)
{
    must(unshare(CLONE_FILES));
    must(close_range(0, ~0U, 0));
    wait_told();
    for (int fd = 0; fd < 300; fd++)
        expect_equal(fcntl(fd, F_GETFD), -1);
    return unused;
}

int main(void)
{
    pthread_t threads[3];
    struct flock asked = {.l_type = F_WRLCK, .l_start = 5, .l_len = 3};
    common = must(open("common", O_RDWR | O_CREAT, 0666));
    must(write(common, "common!", 7));
    must(pipe2(ends, 0));
    must_zero(pthread_create(&threads[0], NULL, part, NULL));
    must_zero(pthread_create(&threads[1], NULL, wander, NULL));
    must_zero(pthread_create(&threads[2], NULL, empty, NULL));
    while (atomic_load(&started) < THREADS)
        nap_ms(1);
    hold("main");
    ready();
    wait_verify();
    check("main");
    int parted = must(open("parted", O_RDWR | O_CLOEXEC));
    must(fcntl(parted, F_GETLK, &asked));
    expect_equal(asked.l_type, F_WRLCK);
    expect_equal(asked.l_start, 5);
    atomic_store(&verify, true);
    for (int i = 0; i < 3; i++)
        must_zero(pthread_join(threads[i], NULL));
    char byte;
    expect_equal(must(read(ends[0], &byte, 1)), 1);
    // With the threads that had it, their table and its lock go, a little later than they can be joined.
    for (int tries = 0; tries < 1000; tries++) {
        asked = (struct flock){.l_type = F_WRLCK, .l_start = 5, .l_len = 3};
        must(fcntl(parted, F_GETLK, &asked));
        if (asked.l_type == F_UNLCK)
            break;
        nap_ms(5);
    }
    expect_equal(asked.l_type, F_UNLCK);
    ok();
}
