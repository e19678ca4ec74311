// refused: bpf
// A BPF map.
#include "victim.h"
#include <linux/bpf.h>

int main(void)
{
    union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
    int fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
    if (fd < 0)
        skip("bpf is not allowed here");
    ready();
    wait_verify();
    expect(fcntl(fd, F_GETFD) >= 0);
    ok();
}
