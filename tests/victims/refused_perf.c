// refused: perf
// A performance counter.
#include "victim.h"
#include <linux/perf_event.h>

int main(void)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attributes, .config = PERF_COUNT_SW_TASK_CLOCK};
    int fd = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
    if (fd < 0)
        skip("perf_event_open is not allowed here");
    ready();
    wait_verify();
    uint64_t value;
    expect_equal(must(read(fd, &value, 8)), 8);
    ok();
}
