using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.State.Processes;

namespace Stasis.State.AsynchronousIo;

/// <summary>The contexts of asynchronous I/O that a process has (struct kioctx, fs/aio.c): no call tells what a context was made for, nor whether it is idle.</summary>
public static class AsyncContexts
{
    private const int MaxContexts = 1 << 16;
    private const string Without = "start the program without native asynchronous I/O (io_setup)";

    public static bool Is(ProcMapping mapping) => mapping.Name.StartsWith("/[aio]", StringComparison.Ordinal);

    /// <summary>What stands in the way of carrying a mapping of this kind; whether it passes by itself.</summary>
    /// <param name="frozen">Else it may change under our eyes; what the frozen look finds is the truth.</param>
    public static (string Why, string Advice, bool Passes)? Problem(int pid, ProcMapping mapping, bool frozen)
    {
        try { return Look(pid, mapping); }
        catch (KernelRefusal refusal) when (!frozen && refusal.Errno == Errno.EFAULT) { return null; }
    }

    private static (string Why, string Advice, bool Passes)? Look(int pid, ProcMapping mapping)
    {
        if (KernelSight.Unavailable() is { } why) return ($"what a context of asynchronous I/O (io_setup) holds can't be looked at: {why}", Without, false);
        if (Of(pid).FirstOrDefault(context => context["user_id"] == mapping.Start) is not { Address: not 0 } found) return ("memory of a context of asynchronous I/O (io_setup) that is not the process's own is not carried yet", Without, false);
        if (found["mmap_size"] != mapping.Length || !mapping.Shared) return ("a part of a context of asynchronous I/O (io_setup) is not carried", Without, false);
        return InFlight(found) == 0 ? null : ("requests of its asynchronous I/O (io_submit) are in flight: they live in the kernel", $"try again when the program is idle, or {Without}", true);
    }

    private static List<KernelObject> Of(int pid)
    {
        List<KernelObject> contexts = [];
        if (KernelSight.TaskOf(pid)?.Pointed("mm", "mm_struct") is not { } memory || memory.Pointed("ioctx_table", "kioctx_table") is not { } table) return contexts;
        ulong count = table["nr"];
        if (count > MaxContexts) throw new KernelRefusal($"{count} contexts of asynchronous I/O are too many", Errno.E2BIG);
        byte[] pointers = table.Read("table", (int)count * 8);
        for (int i = 0; i < (int)count; i++)
            if (BitConverter.ToUInt64(pointers, i * 8) is var address and not 0) contexts.Add(new KernelObject("kioctx", address));
        return contexts;
    }

    private static ulong? s_idle;

    // Every request holds a reference; a context without any, of our own, tells how many there are else.
    private static long InFlight(KernelObject context)
    {
        s_idle ??= AsyncIo.WithOwn(() => References(Of(Environment.ProcessId)[0]));
        return (long)(References(context) - s_idle.Value);
    }

    // struct percpu_ref (include/linux/percpu-refcount.h): what each CPU has counted, and what the count itself says.
    private static ulong References(KernelObject context)
    {
        const ulong FlagMask = 3, Atomic = 1;
        KernelObject references = context.Inner("reqs", "percpu_ref");
        ulong counters = references["percpu_count_ptr"], sum = references.Pointed("data", "percpu_ref_data") is { } data ? data["count"] : 0;
        if ((counters & Atomic) != 0) return sum;
        byte[] counted = new byte[8];
        for (int cpu = 0; KernelSight.OnCpu(counters & ~FlagMask, cpu) is var address and not 0; cpu++)
        {
            if (!KernelSight.Read(address, counted)) throw new KernelRefusal("read of a counter of asynchronous I/O", Errno.EFAULT);
            sum += BitConverter.ToUInt64(counted);
        }
        return sum;
    }

    /// <summary>Of a frozen process, whose contexts are idle.</summary>
    public static AsyncContextRecord[] Take(ProcessSurvey process)
    {
        List<AsyncContextRecord> records = [];
        foreach (ProcMapping mapping in process.Mappings.Where(Is))
        {
            if (Problem(process.Face, mapping, true) is { } problem) throw new Descriptors.CaptureRefused(new Problem(process.Pid, process.Command, $"mapping {mapping.Description}", problem.Why, problem.Advice));
            byte[] content = new byte[mapping.Length];
            ProcessMemory.ReadExactly(process.Face, mapping.Start, content).OrThrow("read of a context of asynchronous I/O", $"process {process.Pid}");
            records.Add(new AsyncContextRecord(mapping.Start, (uint)Of(process.Face).First(context => context["user_id"] == mapping.Start)["max_reqs"], content));
        }
        return [.. records];
    }

    /// <summary>Why a context can't be had here; null when it can.</summary>
    public static (string Why, string Advice)? PlanProblem(AsyncContextRecord record)
    {
        (SysResult made, uint places) = AsyncIo.PlacesOf(record.MaxRequests);
        if (made.Failed) return ($"this kernel makes no context of asynchronous I/O for {record.MaxRequests} requests ({made.Errno})", "raise fs.aio-max-nr (sysctl)");
        return places == record.Places ? null : ($"a context of asynchronous I/O for {record.MaxRequests} requests is of another size here", "restart on a host with as many CPUs");
    }
}
