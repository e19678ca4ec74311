// Everything that /proc, fdinfo, prctl, fcntl, sched, ioctl and the rest of the kernel's questions can tell of a process, asked
// before and after. What differs must be on the list below, which says why it may.
#include "victim.h"
#include <dirent.h>
#include <fnmatch.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <linux/capability.h>

// A line of what was told is "PLACE: TEXT"; in files with names of their own for each line, the text begins with that name.
static const struct { const char *line, *why; } may_differ[] = {
    {"*/auxv: *", "compared as bytes by proc_fields"},
    {"*stat: *", "counters, times and faults; the fields that are state are compared by tests/snapshot.sh"},
    {"*/statm: *", "which pages of files are resident is the page cache's affair"},
    {"*/sched: *", "times and counters of the scheduler"},
    {"*/io: *", "counters of bytes read and written"},
    {"*/cgroup: *", "a restarted process is in the cgroup of its restart"},
    {"*/cpuset: *", "goes with the cgroup"},
    {"*/autogroup: *", "goes with the session as the scheduler counts them"},
    {"*/sessionid: *", "audit's own count of logins"},
    {"*/ns/time*: *", "a time namespace by which the clocks go on from where they were"},
    {"*/timens_offsets: *", "the same"},
    {"*/loginuid: *", "who logged in is who restarted"},
    {"*/syscall: *", "the reader's own system call, with addresses on its stack"},
    {"*/stack: *", "the reader's own kernel stack"},
    {"*/wchan: *", "where it waits just now"},
    {"*/latency*: *", "times"},
    {"*/oom_score: *", "computed from the memory of the moment"},
    {"*/arch_status: *", "time since AVX-512 was used"},
    {"*/mountstats: *", "counters"},
    {"*/cpu_resctrl_groups: *", "goes with the cgroup"},
    {"*/numa_maps: *", "where pages lie"},
    {"*/smaps*: *", "how much is resident or shared is of the moment; mappings and flags are compared by tests/snapshot.sh"},
    {"*/maps: *(deleted)*", "inode numbers of shared anonymous memory"},
    {"*/maps: */memfd:*", "inode numbers of memfds"},
    {"*/status: Vm*", "how much is resident is of the moment"},
    {"*/status: Rss*", "how much is resident is of the moment"},
    {"*/status: HugetlbPages*", "of the moment"},
    {"*/status: *ctxt_switches*", "counters"},
    {"*/status: PPid:*", "the parent of a restarted root is who restarted it"},
    {"*/status: FDSize:*", "the room of the descriptor table, which only grows: a shell's table had 256 places before it closed its own 255"},
    {"*/status: SigQ:*", "counts the signals of all processes of the user"},
    {"*/status: State:*", "runs or sleeps just now"},
    {"*/status: TracerPid:*", "while it is being looked at"},
    {"*/fdinfo/*: ino:*", "inode numbers of pipes, sockets and anonymous files"},
    {"*/fdinfo/*: tfd:* ino:*", "inode numbers of pipes and sockets"},
    {"*/fdinfo/*: eventfd-id:*", "counts the eventfds of the host"},
    {"*/fdinfo/*: it_value:*", "the time that is left of a timer"},
    {"*/fdinfo/*: inotify *", "inode numbers of deleted files; watch and mask are compared by the victim inotify"},
    {"*/fdinfo/*: lock:*", "holder of a lock of an open file description; locks are compared by the victim locks"},
    {"*/fdinfo/*: flags:*", "O_LARGEFILE of what was not opened by name, which means nothing on 64 bits; F_GETFL without it is compared below"},
    {"*/fd/*: pipe:*", "inode numbers"},
    {"*/fd/*: socket:*", "inode numbers"},
    {"*/timers: *", "addresses are the same, the order of creation is not told"},
    {"itimer * left: *", "the time that is left of a timer"},
    {"parent: *", "the parent of a restarted root is who restarted it"},
};

static char *told[2];
static size_t told_size[2];
static FILE *out;

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(out, format, arguments);
    va_end(arguments);
    fputc('\n', out);
}

static void tell_bytes(const char *what, const void *bytes, size_t length)
{
    fprintf(out, "%s: ", what);
    for (size_t i = 0; i < length; i++)
        fprintf(out, "%02x", ((const unsigned char *)bytes)[i]);
    fputc('\n', out);
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static void tell_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        tell("%s: %s", path, errno == EACCES || errno == EPERM ? "no right" : "can't be opened");
        return;
    }
    char *text = NULL;
    size_t size = 0, room = 0;
    for (;;) {
        if (size + 65536 > room)
            text = realloc(text, (room += 262144) + 1);
        ssize_t got = read(fd, text + size, 65536);
        if (got <= 0)
            break;
        size += got;
    }
    close(fd);
    for (size_t i = 0; i < size; i++)
        if (text[i] == 0)
            text[i] = '~';
    text[size] = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        tell("%s: %s", path, line);
    free(text);
}

static void tell_directory(const char *path)
{
    // Memory itself, what changes when it is read, and what is of the network or the host.
    static const char *const skipped[] = {"mem", "pagemap", "clear_refs", "net", "kpagecount", "map_files", "cwd", "root", "exe", "environ", "mountinfo", "mounts", "attr", NULL};
    struct dirent **names;
    int count = scandir(path, &names, NULL, versionsort);
    for (int i = 0; i < count; i++) {
        char below[PATH_MAX], target[PATH_MAX];
        snprintf(below, sizeof below, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] == '.' || is_one_of(names[i]->d_name, skipped))
            continue;
        if (names[i]->d_type == DT_DIR) {
            tell_directory(below);
        } else if (names[i]->d_type == DT_LNK) {
            ssize_t length = readlink(below, target, sizeof target - 1);
            target[length < 0 ? 0 : length] = 0;
            tell("%s: %s", below, target);
        } else {
            tell_file(below);
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
}

static void tell_descriptors(void)
{
    static const struct { int command; const char *name; } asked[] = {
        {F_GETFD, "F_GETFD"}, {F_GETSIG, "F_GETSIG"}, {F_GETPIPE_SZ, "F_GETPIPE_SZ"}, {F_GET_SEALS, "F_GET_SEALS"}, {F_GETLEASE, "F_GETLEASE"},
    };
    for (int fd = 0; fd < 64; fd++) {
        struct stat status;
        struct f_owner_ex owner = {0};
        int waiting = -1;
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
            tell("fcntl %d %s: %d", fd, asked[i].name, fcntl(fd, asked[i].command));
        tell("fcntl %d F_GETFL: %o", fd, fcntl(fd, F_GETFL) & ~0100000);
        fcntl(fd, F_GETOWN_EX, &owner);
        tell("fcntl %d F_GETOWN_EX: %d %d", fd, owner.type, owner.pid);
        ioctl(fd, FIONREAD, &waiting);
        tell("ioctl %d FIONREAD: %d", fd, waiting);
        tell("lseek %d: %ld", fd, (long)lseek(fd, 0, SEEK_CUR));
        must(fstat(fd, &status));
        // What was deleted has no size of its own to differ, only its blocks.
        tell("fstat %d: mode %o links %lu uid %u gid %u size %ld", fd, status.st_mode, (unsigned long)status.st_nlink, status.st_uid, status.st_gid, (long)status.st_size);
        tell("poll %d: %x", fd, ({ struct pollfd one = {fd, POLLIN | POLLPRI | POLLOUT, 0}; poll(&one, 1, 0); one.revents; }));
    }
}

static void tell_process(void)
{
    static const int asked[] = {PR_GET_DUMPABLE, PR_GET_KEEPCAPS, PR_GET_TIMING, PR_GET_SECCOMP, PR_GET_TIMERSLACK, PR_GET_NO_NEW_PRIVS, PR_GET_THP_DISABLE, PR_MCE_KILL_GET,
        PR_GET_IO_FLUSHER, PR_GET_SECUREBITS, 65 /* PR_GET_MDWE */, 68 /* PR_GET_MEMORY_MERGE */, 52 /* PR_GET_SPECULATION_CTRL */};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        tell("prctl %d: %d", asked[i], prctl(asked[i], 0, 0, 0, 0));
    int value = 0;
    tell("prctl PR_GET_PDEATHSIG: %d", (prctl(PR_GET_PDEATHSIG, &value), value));
    tell("prctl PR_GET_CHILD_SUBREAPER: %d", (prctl(PR_GET_CHILD_SUBREAPER, &value), value));
    tell("prctl PR_GET_TSC: %d", (prctl(PR_GET_TSC, &value), value));
    for (int which = 0; which <= 40; which++)
        tell("capability %d: bounding %d ambient %d", which, prctl(PR_CAPBSET_READ, which), prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, which, 0, 0));
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    must(syscall(SYS_capget, &header, data));
    tell_bytes("capget", data, sizeof data);
    uint32_t attributes[14] = {0};
    must(syscall(SYS_sched_getattr, 0, attributes, sizeof attributes, 0));
    tell_bytes("sched_getattr", attributes, sizeof attributes);
    tell("priority: %d", getpriority(PRIO_PROCESS, 0));
    tell("ioprio: %ld", syscall(SYS_ioprio_get, 1, 0));
    cpu_set_t set;
    must(sched_getaffinity(0, sizeof set, &set));
    tell_bytes("affinity", &set, sizeof set);
    for (int which = 0; which < RLIM_NLIMITS; which++) {
        struct rlimit limit;
        must(getrlimit(which, &limit));
        tell("limit %d: %lx %lx", which, (long)limit.rlim_cur, (long)limit.rlim_max);
    }
    mode_t mask = umask(0);
    umask(mask);
    tell("umask: %o", mask);
    tell("parent: %d", getppid());
    tell("ids: %d %d %d %d", getpid(), getpgrp(), getsid(0), gettid());
    tell("personality: %lx", syscall(SYS_personality, 0xffffffff));
    for (int which = 0; which < 3; which++) {
        struct itimerval timer;
        must(getitimer(which, &timer));
        tell("itimer %d every: %ld.%06ld", which, timer.it_interval.tv_sec, timer.it_interval.tv_usec);
        tell("itimer %d left: %ld.%06ld", which, timer.it_value.tv_sec, timer.it_value.tv_usec);
    }
    stack_t stack;
    must(sigaltstack(NULL, &stack));
    tell("sigaltstack: %p %zx %x", stack.ss_sp, stack.ss_size, stack.ss_flags);
    for (int signal = 1; signal <= 64; signal++) {
        uint64_t action[4] = {0};
        syscall(SYS_rt_sigaction, signal, NULL, action, 8);
        tell_bytes("sigaction", action, sizeof action);
    }
    uint64_t blocked, pending;
    must(syscall(SYS_rt_sigprocmask, 0, NULL, &blocked, 8));
    must(syscall(SYS_rt_sigpending, &pending, 8));
    tell("signals: blocked %lx pending %lx", blocked, pending);
    void *head;
    size_t length;
    must(syscall(SYS_get_robust_list, 0, &head, &length));
    tell("robust list: %p %zu", head, length);
    void *tid_address = NULL;
    prctl(PR_GET_TID_ADDRESS, &tid_address);
    tell("tid address: %p", tid_address);
    tell("membarrier: %ld", syscall(SYS_membarrier, 512, 0, 0));
    unsigned long nodes[16] = {0};
    int policy = -1;
    syscall(SYS_get_mempolicy, &policy, nodes, 1024, NULL, 0);
    tell("memory policy: %d %lx", policy, nodes[0]);
    gid_t groups[64];
    int count = must(getgroups(64, groups));
    tell_bytes("groups", groups, count * sizeof *groups);
    tell("brk: %p", sbrk(0));
}

static void tell_all(int which)
{
    out = fmemopen(told[which], told_size[which], "w");
    tell_directory("/proc/self");
    tell_descriptors();
    tell_process();
    expect(ftell(out) < (long)told_size[which] - 1);
    fclose(out);
    out = NULL;
}

static bool expected_to_differ(const char *line)
{
    for (size_t i = 0; i < sizeof may_differ / sizeof *may_differ; i++)
        if (fnmatch(may_differ[i].line, line, 0) == 0)
            return true;
    return false;
}

static int split(char *text, char **lines, int room)
{
    int count = 0;
    for (char *line = strtok(text, "\n"); line && count < room; line = strtok(NULL, "\n"))
        lines[count++] = line;
    expect(count < room);
    return count;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static atomic_bool go;

static void *thread(void *unused)
{
    prctl(PR_SET_NAME, "beside");
    while (!atomic_load(&go))
        nap_ms(5);
    return unused;
}

static void prepare(void)
{
    static char stack[65536];
    int ends[2];
    sigset_t set;
    char path[32] = "file";
    must(prctl(PR_SET_NAME, "told (all) of"));
    must(setpriority(PRIO_PROCESS, 0, 3));
    must(prctl(PR_SET_TIMERSLACK, 77000));
    must(prctl(PR_SET_CHILD_SUBREAPER, 1));
    must(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL));
    umask(037);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    must(sigprocmask(SIG_BLOCK, &set, NULL));
    must(raise(SIGUSR2));
    must(setitimer(ITIMER_PROF, &(struct itimerval){{5000, 0}, {9000, 0}}, NULL));
    int file = must(open(path, O_CREAT | O_RDWR | O_APPEND, 0640));
    must(write(file, "0123456789", 10));
    must(lseek(file, 4, SEEK_SET));
    must(flock(file, LOCK_SH));
    must(fcntl(file, F_SETOWN, getpid()));
    must(open("gone", O_CREAT | O_RDWR, 0600));
    must(unlink("gone"));
    must(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    must(open("/dev/null", O_WRONLY));
    must(open("/proc/self/stat", O_RDONLY));
    must(pipe2(ends, O_NONBLOCK));
    must(write(ends[1], "abc", 3));
    int event = must(eventfd(5, EFD_SEMAPHORE)), timer = must(timerfd_create(CLOCK_MONOTONIC, 0));
    must(timerfd_settime(timer, 0, &(struct itimerspec){{100, 0}, {5000, 0}}, NULL));
    must(signalfd(-1, &set, SFD_NONBLOCK));
    int epoll = must(epoll_create1(EPOLL_CLOEXEC));
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &(struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u64 = 0x1122334455667788}));
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[1], &(struct epoll_event){.events = EPOLLOUT, .data.u64 = 1}));
    int watch = must(inotify_init1(IN_NONBLOCK));
    must(inotify_add_watch(watch, "/proc/sys/kernel", IN_CREATE));
    int memory = must(memfd_create("sealed", MFD_ALLOW_SEALING));
    must(write(memory, "abc", 3));
    must(fcntl(memory, F_ADD_SEALS, F_SEAL_GROW));
    must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
    must(send(ends[0], "waiting", 7, 0));
    syscall(SYS_pidfd_open, getpid(), 0);
    char *mapped = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(mapped != MAP_FAILED);
    prctl(53 /* PR_SET_VMA */, 0, mapped, 65536, "named");
    must(madvise(mapped, 4096, MADV_DONTFORK));
    must(mprotect(mapped + 8192, 4096, PROT_READ));
}

int main(void)
{
    enum { Room = 200000 };
    static char *lines[2][Room];
    int counts[2];
    pthread_t beside;
    prepare();
    must_zero(pthread_create(&beside, NULL, thread, NULL));
    for (int i = 0; i < 2; i++) {
        told_size[i] = 8 << 20;
        told[i] = mmap(NULL, told_size[i], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        expect(told[i] != MAP_FAILED);
    }
    nap_ms(20);
    // Once for what the asking itself brings about.
    tell_all(0);
    tell_all(0);
    ready();
    wait_verify();
    tell_all(1);
    for (int i = 0; i < 2; i++) {
        counts[i] = split(told[i], lines[i], Room);
        qsort(lines[i], counts[i], sizeof *lines[i], by_text);
    }
    expect(counts[0] > 500);
    int differences = 0;
    for (int a = 0, b = 0; a < counts[0] || b < counts[1];) {
        int order = a == counts[0] ? 1 : b == counts[1] ? -1 : strcmp(lines[0][a], lines[1][b]);
        char *line = order <= 0 ? lines[0][a] : lines[1][b];
        a += order <= 0;
        b += order >= 0;
        if (order == 0 || expected_to_differ(line))
            continue;
        printf("%s %s\n", order < 0 ? "before" : "after ", line);
        differences++;
    }
    fflush(stdout);
    if (differences > 0)
        fail("%d lines differ (out.txt has them)", differences);
    atomic_store(&go, true);
    must_zero(pthread_join(beside, NULL));
    ok();
}
