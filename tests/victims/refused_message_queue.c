// refused: outside.*has this message queue open too
// A POSIX message queue that a process outside of the tree has open as well.
#include "victim.h"
#include <mqueue.h>

static char name[64];

static void open_it(void)
{
    must(mq_open(name, O_RDWR));
}

int main(void)
{
    snprintf(name, sizeof name, "/stasis-victim-%ld", (long)now_ns(CLOCK_REALTIME));
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
    if (queue == (mqd_t)-1)
        skip("no message queues here");
    must(mq_send(queue, "hello", 5, 3));
    must(mq_close(queue));
    outside(open_it);
    queue = must(mq_open(name, O_RDWR));
    ready();
    wait_verify();
    char text[8192];
    unsigned priority;
    expect_equal(must(mq_receive(queue, text, sizeof text, &priority)), 5);
    expect_equal(priority, 3);
    must(mq_unlink(name));
    ok();
}
