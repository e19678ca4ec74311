// driven: by BindingTests
// A descriptor that can't be carried, at number 50 and again at 51: the test lets something else take its place, and writes the line
// to be found there.
#include "victim.h"

int main(void)
{
    int log = must(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
    must(dup2(log, 50));
    must(dup2(log, 51));
    close(log);
    int file = must(open("moving", O_CREAT | O_RDWR, 0666));
    expect(write(file, "abc", 3) == 3);
    ready();
    wait_verify();
    char text[8] = "";
    if (read(50, text, 5) != 5 || strcmp(text, "bound") != 0)
        fail("descriptor 50 reads '%s', not what was bound to it", text);
    // The same open file description.
    expect_equal(lseek(51, 0, SEEK_CUR), 5);
    expect_equal(lseek(file, 0, SEEK_CUR), 3);
    ok();
}
