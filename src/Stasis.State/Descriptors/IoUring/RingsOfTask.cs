using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.State.Descriptors.IoUring;

/// <summary>
/// A task may have an io_uring registered for itself (IORING_REGISTER_RING_FDS), and then need no descriptor of it: nothing shows it
/// from outside. So the task is made to enter each of its places with nothing to do.
/// </summary>
public sealed class RingsOfTask
{
    private const int IO_RINGFD_REG_MAX = 16, IORING_ENTER_REGISTERED_RING = 1 << 4;
    private readonly TapeCall[] _places;

    public RingsOfTask(Tape tape) => _places = [.. Enumerable.Range(0, IO_RINGFD_REG_MAX).Select(place => tape.Try("io_uring_enter", Syscall.io_uring_enter, place, 0, 0, IORING_ENTER_REGISTERED_RING, 0, 0))];

    /// <summary>After the tape has run: why the task can't be carried, and what to do; null when it can.</summary>
    public (string Why, string Advice)? Judge(int tgid, int tid)
    {
        const string Advice = "start the program with io_uring off";
        // EBADFD: it is there, and not enabled yet.
        if (!_places.Any(place => !place.Result.Failed || place.Result.Errno == Errno.EBADFD)) return null;
        if (KernelSight.Unavailable() is { } why) return ($"it has an io_uring registered for itself, which can't be looked at: {why}", Advice);
        if (tid != tgid) return ("a thread that is not the main one has an io_uring registered for itself (IORING_REGISTER_RING_FDS), which is not carried yet", Advice);
        HashSet<ulong> open = [.. KernelSight.FilesOf(tgid).Values.Select(file => file.Address)];
        return RingSight.RegisteredBy(tid).Values.All(open.Contains) ? null : ("it has an io_uring registered for itself of which it has no descriptor any more, which is not carried yet", Advice);
    }
}
