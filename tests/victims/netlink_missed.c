// What netlink has told a group and nobody has read: the program hears that it has missed something, or the news itself; where there was none, nothing.
// Later news come as ever.
#include "victim.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

static int listener(void)
{
    int fd = must(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE)), group = RTNLGRP_LINK;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    must(bind(fd, (struct sockaddr *)&address, sizeof address));
    must(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group));
    return fd;
}

static void change(int mtu)
{
    int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
    struct ifreq request = {.ifr_name = "lo", .ifr_mtu = mtu};
    must(ioctl(fd, SIOCSIFMTU, &request));
    must(close(fd));
}

static int mtu(void)
{
    int fd = must(socket(AF_INET, SOCK_DGRAM, 0));
    struct ifreq request = {.ifr_name = "lo"};
    must(ioctl(fd, SIOCGIFMTU, &request));
    must(close(fd));
    return request.ifr_mtu;
}

// How many messages of links wait; -1 when some are missing.
static int news(int fd)
{
    static char message[65536];
    int count = 0;
    bool missed = false;
    for (;;) {
        ssize_t length = recv(fd, message, sizeof message, 0);
        if (length < 0 && errno == ENOBUFS) {
            expect(!missed);
            missed = true;
            continue;
        }
        if (length < 0) {
            expect_equal(errno, EAGAIN);
            return missed ? -1 : count;
        }
        expect_equal(((struct nlmsghdr *)message)->nlmsg_type, RTM_NEWLINK);
        count++;
    }
}

int main(void)
{
    int size = 8192, got = 0, locked = 0;
    socklen_t length = sizeof got;
    int told = listener(), small = listener();
    must(setsockopt(small, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    for (int i = 0; i < 3; i++)
        change(20000 + i);
    int untold = listener(), overflown = listener();
    size = 1;
    must(setsockopt(overflown, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    change(30000);
    change(30001);
    expect_equal(news(untold), 2);
    ready();
    wait_verify();
    // A second one from the same image finds what the first one has changed.
    int heard = news(told), unheard = mtu() == 30001 ? 0 : -1;
    expect(heard == 5 || heard == -1);
    expect(news(small) != 0);
    expect_equal(news(overflown), -1);
    expect_equal(news(untold), unheard);
    must(getsockopt(small, SOL_SOCKET, SO_RCVBUF, &got, &length));
    expect_equal(got, 16384);
    must(getsockopt(told, SOL_SOCKET, SO_BUF_LOCK, &locked, &length));
    expect_equal(locked, 0);
    change(50000);
    change(40000);
    expect_equal(news(told), 2);
    expect_equal(news(small), 2);
    expect_equal(news(untold), 2);
    ok();
}
