// Netlink sockets: of routes, with an address of its own, groups and options; of device events; of a generic family, unbound. After
// the restart they still answer, and still hear what they have subscribed to.
#include "victim.h"
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

static uint32_t port(int fd)
{
    struct sockaddr_nl own;
    socklen_t size = sizeof own;
    must(getsockname(fd, (struct sockaddr *)&own, &size));
    return own.nl_pid;
}

static bool hears(int fd, int group)
{
    uint32_t groups[16] = {0};
    socklen_t size = sizeof groups;
    must(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, &size));
    return groups[(group - 1) / 32] >> ((group - 1) % 32) & 1;
}

static void asks(int fd)
{
    struct {
        struct nlmsghdr header;
        struct rtgenmsg body;
    } request = {{.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = 7}, {AF_UNSPEC}};
    static char answer[65536];
    must(send(fd, &request, sizeof request, 0));
    for (bool done = false; !done;) {
        ssize_t length = must(recv(fd, answer, sizeof answer, 0));
        struct nlmsghdr *header = (struct nlmsghdr *)answer;
        for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
            expect_equal(header->nlmsg_seq, 7);
            done = done || header->nlmsg_type == NLMSG_DONE;
        }
    }
}

int main(void)
{
    int on = 1, value = 0, group = RTNLGRP_NEXTHOP; // beyond the 32 of an address
    int routes = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)), second = must(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE)),
        events = must(socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT)), generic = must(socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC));
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1 << (RTNLGRP_LINK - 1) | 1 << (RTNLGRP_IPV4_ROUTE - 1)};
    must(bind(routes, (struct sockaddr *)&address, sizeof address));
    must(setsockopt(routes, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    must(setsockopt(routes, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on));
    asks(routes);
    asks(second); // binds itself to a free address
    address = (struct sockaddr_nl){.nl_family = AF_NETLINK, .nl_groups = 1};
    must(bind(events, (struct sockaddr *)&address, sizeof address));
    uint32_t first_port = port(routes), second_port = port(second), event_port = port(events);
    expect(first_port && second_port && first_port != second_port);
    ready();
    wait_verify();
    expect_equal(port(routes), first_port);
    expect_equal(port(second), second_port);
    expect_equal(port(events), event_port);
    expect_equal(port(generic), 0);
    expect(hears(routes, RTNLGRP_LINK) && hears(routes, RTNLGRP_IPV4_ROUTE) && hears(routes, RTNLGRP_NEXTHOP) && !hears(routes, RTNLGRP_NEIGH));
    expect(hears(events, 1) && !hears(second, RTNLGRP_LINK));
    socklen_t size = sizeof value;
    must(getsockopt(routes, SOL_NETLINK, NETLINK_EXT_ACK, &value, &size));
    expect_equal(value, 1);
    asks(second);
    expect_equal(must(fcntl(routes, F_GETFD)), FD_CLOEXEC);
    expect(recv(events, &value, 4, 0) == -1 && (errno == EAGAIN || errno == ENOBUFS)); // devices may have come and gone elsewhere
    ok();
}
