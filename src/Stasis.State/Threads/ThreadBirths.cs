using Stasis.State.Processes;

namespace Stasis.State.Threads;

/// <summary>How a thread is made: by which of the threads (its place among the record's; -1 for the process's first task), and what it is to share with that.</summary>
public sealed record ThreadBirth(int Thread, int Maker, bool SharesTable, bool SharesPlaces);

/// <summary>
/// The order in which the threads of a process are made. What a thread has of its own it gets by not sharing at birth; what it shares with
/// another than the process's first task, it gets from that one. A task shares only with who made it, and parts from that for good, so tables
/// and directories, joined by the threads that have both, never form a ring: whoever is made next to those that are there finds one maker.
/// </summary>
public static class ThreadBirths
{
    private const int TheFirst = -1;

    /// <summary>null when they can't be made: no running process had such threads.</summary>
    public static ThreadBirth[]? Plan(ProcessRecord process)
    {
        List<ThreadBirth> births = [];
        List<int> odd = [];
        for (int i = process.LeaderStatus is null ? 1 : 0; i < process.Threads.Length; i++)
        {
            if (Table(process.Threads[i]) == 0 && Places(process.Threads[i]) == 0) births.Add(new ThreadBirth(i, TheFirst, true, true));
            else odd.Add(i);
        }
        var there = new Made();
        while (odd.Count > 0)
        {
            ThreadBirth? next = odd.Select(i => there.Birth(i, process.Threads[i])).Where(birth => birth is not null).MaxBy(birth => (birth!.SharesTable ? 1 : 0) + (birth.SharesPlaces ? 1 : 0));
            if (next is null) return null;
            births.Add(next);
            there.Add(next.Thread, process.Threads[next.Thread]);
            odd.Remove(next.Thread);
        }
        return [.. births];
    }

    // 0 is the process's own; else the number of the table, the id of the first thread that stands there.
    private static int Table(ThreadRecord thread) => thread.OwnTable;
    private static int Places(ThreadRecord thread) => thread.SharesPlacesWith != 0 ? thread.SharesPlacesWith : thread.OwnPlaces is null ? 0 : thread.Tid;

    private sealed class Made
    {
        private readonly Dictionary<int, int> _byTable = new() { [0] = TheFirst }, _byPlaces = new() { [0] = TheFirst };
        private readonly Dictionary<(int, int), int> _byBoth = new() { [(0, 0)] = TheFirst };

        public void Add(int thread, ThreadRecord record)
        {
            _byTable.TryAdd(Table(record), thread);
            _byPlaces.TryAdd(Places(record), thread);
            _byBoth.TryAdd((Table(record), Places(record)), thread);
        }

        public ThreadBirth? Birth(int thread, ThreadRecord record)
        {
            bool table = _byTable.TryGetValue(Table(record), out int byTable), places = _byPlaces.TryGetValue(Places(record), out int byPlaces);
            if (table && places) return _byBoth.TryGetValue((Table(record), Places(record)), out int both) ? new ThreadBirth(thread, both, true, true) : null;
            return new ThreadBirth(thread, table ? byTable : places ? byPlaces : TheFirst, table, places);
        }
    }
}
