// refused: /dev/|device
// A mapping of a device.
#include "victim.h"

int main(void)
{
    int fd = open("/dev/mem", O_RDONLY);
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0xf0000);
    if (memory == MAP_FAILED)
        skip("/dev/mem cannot be mapped here");
    close(fd);
    ready();
    wait_verify();
    ok();
}
