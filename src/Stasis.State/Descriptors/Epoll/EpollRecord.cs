namespace Stasis.State.Descriptors.Epoll;

/// <summary>An epoll instance (man 7 epoll) and what it waits on.</summary>
public sealed record EpollRecord : Description
{
    public EpollTarget[] Targets { get; init; } = [];

    /// <summary>ioctl(EPIOCGPARAMS): its busy polling, as the struct's 8 bytes; 0 for none.</summary>
    public ulong BusyPoll { get; init; }
}

/// <summary>
/// One entry. The kernel keys it by the open file description and the number that it had when it was added; the number may mean
/// something else by now, or nothing. <see cref="Events"/> of a one-shot entry that has fired holds no event but the flags.
/// </summary>
public sealed record EpollTarget
{
    public required int Number { get; init; }
    public required int Description { get; init; }
    public required uint Events { get; init; }
    public required ulong Data { get; init; }
}
