using System.Globalization;
using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.State.Memory;

/// <summary>
/// Maps io_urings where they were. The kernel alone chooses where it maps one, and refuses every address that it is given, also to move
/// it there (io_uring_get_unmapped_area): so everything else that is free is occupied meanwhile, and it has no choice.
/// </summary>
internal sealed class RingPlacement(BlankTask task, IReadOnlyList<MappingRecord> rings, Func<MappingRecord, int> descriptorOf)
{
    private const int MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000, MAP_POPULATE = 0x8000, MAP_FIXED_NOREPLACE = 0x100000;
    private const ulong End = 0x7ffffffff000;

    /// <summary>Keeps the place until <see cref="Run"/>.</summary>
    public static void Reserve(Tape tape, ulong start, ulong length) =>
        tape.Call($"mmap of a place at {start:x}", Syscall.mmap, start, length, 0, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    /// <summary>When everything else is mapped, and the places are reserved.</summary>
    public void Run()
    {
        if (rings.Count == 0) return;
        var batch = new TapeBatch(task);
        List<(ulong Start, ulong Length)> gaps = Gaps(rings.Min(ring => ring.Length));
        foreach ((ulong start, ulong length) in gaps) Reserve(batch.Tape, start, length);
        List<TapeCall> made = [];
        foreach (MappingRecord ring in rings)
        {
            Tape tape = batch.Tape;
            tape.Call($"munmap of the place at {ring.Start:x}", Syscall.munmap, ring.Start, ring.Length);
            made.Add(tape.Call($"mmap of an io_uring at {ring.Start:x}", Syscall.mmap, 0, ring.Length, ring.Protection, MAP_SHARED | MAP_POPULATE, descriptorOf(ring), ring.Offset));
        }
        foreach ((ulong start, ulong length) in gaps) batch.Tape.Call($"munmap of the place at {start:x}", Syscall.munmap, start, length);
        batch.Flush();
        for (int i = 0; i < made.Count; i++)
            if ((ulong)made[i].Result.Value != rings[i].Start) throw new KernelRefusal($"mmap of an io_uring at {rings[i].Start:x}: the kernel chose {made[i].Result.Value:x}", Errno.EINVAL, task.Tracee.Whose);
    }

    // What is free and large enough.
    private List<(ulong Start, ulong Length)> Gaps(ulong least)
    {
        (SysResult result, string text) = Files.ReadText($"/proc/{task.Tid}/maps");
        result.OrThrow($"read of /proc/{task.Tid}/maps");
        ulong at = ulong.TryParse(Files.ReadText("/proc/sys/vm/mmap_min_addr").Text.Trim(), CultureInfo.InvariantCulture, out ulong lowest) ? Math.Max(lowest, 4096) : 65536;
        List<(ulong, ulong)> gaps = [];
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] bounds = line[..line.IndexOf(' ')].Split('-');
            ulong start = Math.Min(End, ulong.Parse(bounds[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture)), end = ulong.Parse(bounds[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            if (start > at && start - at >= least) gaps.Add((at, start - at));
            at = Math.Max(at, end);
        }
        if (at < End && End - at >= least) gaps.Add((at, End - at));
        return gaps;
    }
}
