// huge pages: 16
// restart: --changed-files rewind
// Files of huge pages: memfds with seals, mapped shared and private; a file of a hugetlbfs and a deleted one; System V memory, also not attached.
#include "victim.h"
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/statfs.h>

enum { HUGE = 2 << 20, HUGETLB = 0x958458f6 };

static void *map(int fd, size_t bytes, int flags)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (memory == MAP_FAILED)
        skip("not enough huge pages here");
    return memory;
}

static bool is_huge(int fd)
{
    struct statfs status;
    must(fstatfs(fd, &status));
    return (unsigned)status.f_type == HUGETLB && status.f_bsize == HUGE;
}

int main(void)
{
    struct shmid_ds status;
    int memfd = memfd_create("huge", MFD_HUGETLB | MFD_ALLOW_SEALING | 21 << 26);
    if (memfd < 0)
        skip("this kernel has no huge pages of 2 MiB");
    must(ftruncate(memfd, 2 * HUGE));
    char *shared = map(memfd, 2 * HUGE, MAP_SHARED), *private = map(memfd, HUGE, MAP_PRIVATE);
    fill(shared + HUGE, 4096, 1);
    shared[1] = 1;
    private[2] = 2;
    must(fcntl(memfd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
    // Of a file system: what is here is the cage's.
    must(mkdir("mounted", 0777));
    bool mounted = mount("none", "mounted", "hugetlbfs", 0, "pagesize=2M") == 0;
    int file = -1, gone = -1;
    char *of_file = NULL, *of_gone = NULL;
    if (mounted) {
        file = must(open("mounted/file", O_RDWR | O_CREAT, 0640));
        must(ftruncate(file, HUGE));
        of_file = map(file, HUGE, MAP_SHARED);
        fill(of_file, 4096, 3);
        gone = must(open("mounted/gone", O_RDWR | O_CREAT, 0640));
        must(ftruncate(gone, HUGE));
        of_gone = map(gone, HUGE, MAP_SHARED);
        fill(of_gone + 8192, 4096, 4);
        must(unlink("mounted/gone"));
    }
    int attached = shmget(IPC_PRIVATE, HUGE + 5000, IPC_CREAT | SHM_HUGETLB | 0600), detached = shmget(4711, HUGE, IPC_CREAT | SHM_HUGETLB | 0600);
    if (attached < 0 || detached < 0)
        skip("not enough huge pages here");
    char *segment = shmat(attached, NULL, 0), *other = shmat(detached, NULL, 0);
    expect(segment != (void *)-1 && other != (void *)-1);
    fill(segment + HUGE, 4096, 5);
    segment[2 * HUGE - 1] = 6; // behind its size, in its memory
    fill(other, 4096, 7);
    must(shmdt(other));
    ready();
    wait_verify();
    expect(is_huge(memfd));
    expect(filled(shared + HUGE, 4096, 1) && shared[1] == 1 && shared[2] == 0);
    expect(private[2] == 2 && private[1] == 1);
    expect_equal(must(fcntl(memfd, F_GET_SEALS)), F_SEAL_GROW | F_SEAL_SHRINK);
    expect(ftruncate(memfd, HUGE) == -1 && errno == EPERM);
    if (mounted) {
        expect(is_huge(file) && is_huge(gone));
        expect(filled(of_file, 4096, 3) && of_file[4096] == 0);
        expect(filled(of_gone + 8192, 4096, 4) && of_gone[0] == 0);
        char *again = map(file, HUGE, MAP_SHARED);
        of_file[5000] = 8;
        expect_equal(again[5000], 8);
        struct stat gone_status;
        must(fstat(gone, &gone_status));
        expect(gone_status.st_nlink == 0 && gone_status.st_size == HUGE);
    }
    must(shmctl(attached, IPC_STAT, &status));
    expect_equal(status.shm_segsz, HUGE + 5000);
    expect(filled(segment + HUGE, 4096, 5) && segment[2 * HUGE - 1] == 6 && segment[0] == 0);
    expect_equal(must(shmget(4711, 0, 0)), detached);
    other = shmat(detached, NULL, 0);
    expect(other != (void *)-1 && filled(other, 4096, 7));
    must(shmctl(attached, IPC_RMID, NULL));
    must(shmctl(detached, IPC_RMID, NULL));
    ok();
}
