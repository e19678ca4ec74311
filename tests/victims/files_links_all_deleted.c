// checkpoint: --save-files
// restart: --changed-files rewind
// Two names of one file, both opened, both deleted: still one file.
#include "victim.h"

int main(void)
{
    char text[100];
    int first = must(open("first", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(write(first, "one file", 8));
    must(link("first", "second"));
    int second = must(open("second", O_RDWR));
    must(unlink("first"));
    must(unlink("second"));
    ready();
    wait_verify();
    struct stat a, b;
    must(fstat(first, &a));
    must(fstat(second, &b));
    expect(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_nlink == 0);
    must(pwrite(second, "ONE", 3, 0));
    expect_equal(must(pread(first, text, 100, 0)), 8);
    expect(memcmp(text, "ONE file", 8) == 0);
    expect_equal(must(lseek(first, 0, SEEK_CUR)), 8);
    must(pwrite(second, "one", 3, 0));
    ok();
}
