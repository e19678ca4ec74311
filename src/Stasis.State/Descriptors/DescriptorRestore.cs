using Stasis.Linux;
using Stasis.Remote;
using Stasis.State.Processes;

namespace Stasis.State.Descriptors;

/// <summary>
/// Puts descriptors at their numbers in a blank process that has inherited all of ours (<see cref="DescriptorMoves"/>), and closes the rest.
/// </summary>
public static class DescriptorRestore
{
    /// <param name="sourceOf">The inherited number of each description.</param>
    public static void Place(BlankTask task, DescriptorTable table, Func<int, int> sourceOf, int highestInherited)
    {
        var batch = new TapeBatch(task);
        int spare = Math.Max(highestInherited, table.Entries.Length == 0 ? 0 : table.Entries.Max(e => e.Number)) + 1;
        foreach (DescriptorMove move in DescriptorMoves.Plan([.. table.Entries.Select(e => (e.Number, sourceOf(e.Description), e.CloseOnExec))], spare))
        {
            if (move.Aside) batch.Tape.Call($"dup2 of descriptor {move.From} out of the way", Syscall.dup2, move.From, move.To);
            else if (move.InPlace) batch.Tape.Call($"fcntl(F_SETFD) of descriptor {move.To}", Syscall.fcntl, move.To, 2, move.CloseOnExec ? 1 : 0);
            else batch.Tape.Call($"dup3 to descriptor {move.To}", Syscall.dup3, move.From, move.To, move.CloseOnExec ? OpenFlags.O_CLOEXEC : 0);
        }
        CloseRest(batch, table);
        batch.Flush();
    }

    private static void CloseRest(TapeBatch batch, DescriptorTable table)
    {
        long first = 0;
        foreach (int number in table.Entries.Select(e => e.Number).Order().Append(-1))
        {
            long last = number < 0 ? uint.MaxValue : number - 1;
            if (first <= last) batch.Tape.Call("close_range", Syscall.close_range, first, last, 0);
            first = number + 1L;
        }
    }

    /// <summary>Owners, locks, and what the kinds do once everything is in place.</summary>
    /// <param name="owned">Descriptions that have their owner already.</param>
    /// <param name="finished">Those whose kind has done its part.</param>
    /// <param name="leads">Whether the task is the main thread of its process.</param>
    public static void Finish(BlankTask task, int pid, DescriptorTable table, IReadOnlyDictionary<int, Description> descriptions, HashSet<int> owned, HashSet<int> finished, bool leads, RebuildContext rebuild)
    {
        const int F_SETLK = 6;
        var batch = new TapeBatch(task);
        List<TapeCall> owners = [];
        foreach (DescriptorEntry entry in table.Entries)
        {
            Description description = descriptions[entry.Description];
            DescriptorKind kind = DescriptorKinds.Of(description);
            if (owned.Add(description.Id)) SetOwner(batch.Tape, entry.Number, description, owners);
            if (kind.NeedsFinish(description) && !finished.Contains(description.Id) && kind.Finish(description, new FinishContext(pid, entry.Number, batch, table, descriptions, leads, rebuild)))
                finished.Add(description.Id);
        }
        foreach (PosixLock held in table.Locks)
            batch.Tape.Call($"fcntl(F_SETLK) of descriptor {held.Number}", Syscall.fcntl, held.Number, F_SETLK, batch.Tape.Data(FileLock.Bytes(held.Write, held.Start, held.End)));
        batch.Flush();
        // ESRCH: it was outside the tree and has ended, which the kernel too would have forgotten by now.
        foreach (TapeCall owner in owners) if (owner.Result.Errno != Errno.ESRCH) owner.Result.OrThrow("fcntl(F_SETOWN_EX)", $"process {pid}");
    }

    // The kernel remembers with whose rights the signals are to be sent: whoever asks for them.
    private static void SetOwner(Tape tape, int number, Description description, List<TapeCall> owners)
    {
        const int F_SETFL = 4, F_SETSIG = 10, F_SETOWN_EX = 15, Settable = OpenFlags.O_APPEND | OpenFlags.O_NONBLOCK | OpenFlags.O_ASYNC | OpenFlags.O_DIRECT | OpenFlags.O_NOATIME;
        if (description.Owner != 0)
        {
            bool other = description.OwnerUid != 0 || description.OwnerEffectiveUid != 0;
            if (other) tape.Call("setresuid", Syscall.setresuid, description.OwnerUid, description.OwnerEffectiveUid, 0);
            owners.Add(tape.Try("fcntl(F_SETOWN_EX)", Syscall.fcntl, number, F_SETOWN_EX, tape.Data<int>(description.OwnerType, description.Owner)));
            if (other) tape.Call("setresuid", Syscall.setresuid, 0, 0, 0);
        }
        if (description.OwnerSignal != 0) tape.Call("fcntl(F_SETSIG)", Syscall.fcntl, number, F_SETSIG, description.OwnerSignal);
        // Here, as the kernel remembers by which number: the signal tells it (si_fd).
        if ((description.Flags & OpenFlags.O_ASYNC) != 0 && (description.Flags & OpenFlags.O_PATH) == 0 && description is not OuterStream.OuterStreamRecord)
            tape.Call("fcntl(F_SETFL, O_ASYNC)", Syscall.fcntl, number, F_SETFL, description.Flags & Settable);
    }
}
