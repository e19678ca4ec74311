using System.Runtime.InteropServices;
using Stasis.Linux;
using Stasis.Remote;
using Stasis.State.Descriptors;

namespace Stasis.State.SystemV;

/// <summary>
/// What a process will undo on semaphores at its end (semadj). No call tells it, but semop refuses with ERANGE what would carry the
/// adjustment out of [-32768, 32767], and an array of operations takes effect as a whole or not at all (ipc/sem.c,
/// perform_atomic_semop_slow). So the process tries arrays that end in an operation that can't succeed (EAGAIN), and of which an
/// earlier one goes out of range or not: bisection finds the number, and nothing ever changes.
/// </summary>
public static class UndoProbe
{
    private const int Lowest = -32768, Highest = 32767, QuestionsPerTape = 100;

    /// <summary>struct sembuf (include/uapi/linux/sem.h).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Operation(ushort Number, short Change, short Flags);

    // The adjustment lies in [Low, High]; asked is whether it is more than Middle.
    private sealed class Search(SemaphoreSight set, int number)
    {
        public SemaphoreSight Set { get; } = set;
        public int Number { get; } = number;
        public int Low { get; set; } = Lowest;
        public int High { get; set; } = Highest;
        public TapeCall? Question { get; set; }
        public int Middle { get; set; }
    }

    /// <summary>The adjustments that are not zero, by the process's own tapes.</summary>
    public static UndoRecord[] Run(TapeMachine machine, HeldTask task, string command, IReadOnlyList<SemaphoreSight> sets)
    {
        List<Search> all = [.. sets.SelectMany(set => Enumerable.Range(0, set.Values.Length).Select(number => new Search(set, number)))];
        // Nearly all are zero: two questions tell.
        Ask(machine, task, command, all, _ => 0);
        Ask(machine, task, command, all, search => search.High == 0 ? -1 : null);
        for (int bit = 0; bit < 17; bit++) Ask(machine, task, command, all, search => search.Low < search.High ? (int)Math.Floor((search.Low + search.High) / 2.0) : null);
        InvariantBroken.Require(all.All(search => search.Low == search.High), "an adjustment of a semaphore was not found");
        return [.. all.Where(search => search.Low != 0).Select(search => new UndoRecord(search.Set.Id, search.Number, search.Low))];
    }

    private static void Ask(TapeMachine machine, HeldTask task, string command, List<Search> all, Func<Search, int?> middle)
    {
        List<Search> open = [];
        foreach (Search search in all)
        {
            if (middle(search) is not { } value) continue;
            search.Middle = value;
            open.Add(search);
        }
        foreach (Search[] part in open.Chunk(QuestionsPerTape))
        {
            var tape = new Tape();
            foreach (Search search in part)
            {
                Operation[] operations = Question(search);
                search.Question = tape.Try("semop", Syscall.semop, search.Set.Id, tape.Data<Operation>(operations), operations.Length);
            }
            machine.Run(task, tape);
            foreach (Search search in part) Answer(search, task, command);
        }
    }

    // Whether the adjustment is more than Middle: adding 32767 - Middle to it goes out of range then. In two steps, as each operation
    // must be a short, may not be zero, and the semaphore itself must stay in [0, 32767].
    private static Operation[] Question(Search search)
    {
        ushort number = (ushort)search.Number;
        int value = search.Set.Values[search.Number];
        List<Operation> operations = [];
        void Change(int change, bool undo)
        {
            if (change != 0) operations.Add(new Operation(number, (short)change, (short)(undo ? SysvIpc.SEM_UNDO : 0)));
        }
        Change(SysvIpc.SEMVMX - value, false);
        int added = Highest - search.Middle; // 0 … 65535
        for (int rest = added; rest > 0;)
        {
            int step = Math.Min(rest, SysvIpc.SEMVMX);
            Change(-step, true);
            Change(step, false);
            rest -= step;
        }
        operations.Add(new Operation(number, short.MinValue, SysvIpc.IPC_NOWAIT));
        return [.. operations];
    }

    private static void Answer(Search search, HeldTask task, string command)
    {
        switch (search.Question!.Result.Errno)
        {
            case Errno.ERANGE: search.Low = search.Middle + 1; break;
            case Errno.EAGAIN: search.High = search.Middle; break;
            // It may not touch the set, so it has not, unless its rights were taken away since: then it must have been the last.
            case Errno.EACCES when !search.Set.LastProcesses.Contains(task.Tgid): search.Low = search.High = 0; break;
            case Errno.EIDRM or Errno.EINVAL: search.Low = search.High = 0; break; // removed meanwhile
            default:
                throw new CaptureRefused(new Problem(task.Tgid, command, $"System V semaphores {search.Set.Id}",
                    $"what it will undo on them at its end (SEM_UNDO) can't be told ({search.Question.Result.Errno})", "try again in a moment, or let the program remove the set first"));
        }
    }
}
