namespace Stasis.State;

/// <summary>
/// What no restart brings back, by design or for now, and what no checkpoint can tell of a given program: the part of the faithfulness report that
/// is the same for every image. README has the same list.
/// </summary>
public static class NeverCarried
{
    public static readonly IReadOnlyList<string> Words =
    [
        "how far a wait had come that was to last less than a second, or one of a 32-bit or traced program, or one in a call that every stop ends and whose limit lies in memory or at a socket (epoll_pwait2, semtimedop, sigtimedwait, a receive with a timeout) or in a register of a program that makes its calls itself: it starts again whole",
        "that nobody has heard yet that a connection begun without waiting is there: a second connect(2) answers EISCONN, not 0",
        "that an edge of an epoll has been seen already: one more is",
        "PR_SET_PTRACER",
        "that something of the network changed and changed back while a program that listens for such news (netlink) was away",
        "the name of a session keyring (its keys are told)",
        "the number of a pseudo-terminal, when it is taken",
        "pages that a parent and its forked children have in common: each gets its own",
        "the home node of a memory policy",
        "O_LARGEFILE of files of 32-bit programs",
        "times of System V message queues",
        "POSIX queues that nobody has open, outside of `stasis run`",
        "counters of zero-copy and timestamp notifications of sockets",
        "the counters of PACKET_STATISTICS, and the numbers of the blocks in a ring of packets (seq_num), which begin anew",
        "anycast memberships",
        "the pid in SO_PEERCRED, in a new pid namespace",
        "CPU time used so far",
        "the cgroup: it is that of the restart",
    ];

    /// <summary>What is lost as well where the checkpoint's kernel has no BTF, or bpf(2) was not permitted.</summary>
    public const string WithoutSight = "without BTF or bpf(2): how far any wait had come (epoll_wait then starts again whole after every checkpoint), dnotify, overruns of a timer whose signal waits, the order of SO_REUSEPORT groups, UFFD_USER_MODE_ONLY of a privileged program, a timerfd's cancellation by a set clock that nobody has read yet, an empty datagram that waits behind others and was looked at before (MSG_PEEK, an earlier checkpoint)";
}
