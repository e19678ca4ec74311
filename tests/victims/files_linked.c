// checkpoint: --save-files
// restart: --changed-files rewind
// Two names of one file, opened by both; one of the names deleted; a file renamed since it was opened.
#include "victim.h"

int main(void)
{
    char text[100];
    int first = must(open("first", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(write(first, "one file", 8));
    must(link("first", "second"));
    int second = must(open("second", O_RDWR));

    int keeps = must(open("keeps", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(write(keeps, "stays", 5));
    must(link("keeps", "goes"));
    int goes = must(open("goes", O_RDWR));
    must(unlink("goes"));

    int renamed = must(open("old name", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(write(renamed, "renamed", 7));
    must(rename("old name", "new name"));
    ready();
    wait_verify();
    struct stat a, b;
    must(fstat(first, &a));
    must(fstat(second, &b));
    expect(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_nlink == 2);
    must(pwrite(second, "ONE", 3, 0));
    expect_equal(must(pread(first, text, 100, 0)), 8);
    expect(memcmp(text, "ONE file", 8) == 0);
    must(fstat(keeps, &a));
    must(fstat(goes, &b));
    expect(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    must(pwrite(goes, "STAYS", 5, 0));
    expect_equal(must(pread(keeps, text, 100, 0)), 5);
    expect(memcmp(text, "STAYS", 5) == 0);
    expect(access("goes", F_OK) == -1);
    must(fstat(keeps, &a));
    expect_equal(a.st_nlink, 1);
    must(fstat(renamed, &a));
    must(stat("new name", &b));
    expect(a.st_ino == b.st_ino);
    ok();
}
