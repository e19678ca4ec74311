// refused: fanotify group is asked for permission
// A fanotify group that may deny others their access.
#include "victim.h"
#include <sys/fanotify.h>

int main(void)
{
    int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_NONBLOCK, O_RDONLY);
    if (fd < 0)
        skip("fanotify is not allowed here");
    ready();
    wait_verify();
    expect(fcntl(fd, F_GETFD) >= 0);
    ok();
}
