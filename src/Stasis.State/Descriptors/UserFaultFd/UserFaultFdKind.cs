using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;

namespace Stasis.State.Descriptors.UserFaultFd;

/// <summary>
/// A userfaultfd with no fault waiting. It belongs to the memory of the process that made it, also in the hands of another, and nothing in
/// /proc tells which one that is, nor which of several has a mapping: the kernel is asked by calls that change nothing.
/// At the restart that process makes it, when its memory is filled, and the others get it from there.
/// </summary>
public sealed class UserFaultFdKind : DescriptorKind
{
    // include/uapi/linux/userfaultfd.h
    private const ulong UFFDIO_API = 0xC018AA3F, UFFDIO_REGISTER = 0xC020AA00, UFFDIO_UNREGISTER = 0x8010AA01, UFFDIO_WRITEPROTECT = 0xC018AA06, UFFD_API = 0xAA;
    private const uint UFFD_FEATURE_WP_UNPOPULATED = 1 << 13, UFFD_FEATURE_POISON = 1 << 14, UFFD_FEATURE_WP_ASYNC = 1 << 15, Initialized = 1u << 31;
    private const int UFFD_USER_MODE_ONLY = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_FIXED_NOREPLACE = 0x100000;

    // Below the range of our arenas, where neither the kernel nor a runtime we know of puts anything, in whatever process.
    private const ulong Nowhere = 0x15A514000000, PageSize = PageScan.PageSize;

    public override string Name => "userfaultfd";
    public override Type RecordType => typeof(UserFaultFdRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Link == "anon_inode:[userfaultfd]";

    // "API: aa:80000103:…": the version, the features asked for with a mark that it is set up, and what the kernel has (fs/userfaultfd.c).
    private static uint FeaturesOf(Sighting sighting) => sighting.Information.Field("API").Split(':') is { Length: >= 2 } words
        && uint.TryParse(words[1], System.Globalization.NumberStyles.HexNumber, System.Globalization.CultureInfo.InvariantCulture, out uint features) ? features : 0;

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        uint features = FeaturesOf(sighting);
        if ((features & Initialized) == 0)
            context.Refuse(sighting, "a userfaultfd that was not set up yet (UFFDIO_API) is not carried", "try again in a moment");
        if ((features & (UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_POISON)) != 0)
            context.Refuse(sighting, "a userfaultfd that protects or poisons pages which are not there (UFFD_FEATURE_WP_ASYNC, WP_UNPOPULATED, POISON) is not carried yet", "end what tracks the program's memory first");
        if (sighting.Carrier is not null)
            context.Refuse(sighting, "a userfaultfd on its way to another process is not carried yet", "checkpoint when it has been received");
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        int holder = Holders(id, sighting, context).FirstOrDefault(one => Watches(one, context)) is { } found ? found.Pid
            : throw new CaptureRefused(sighting, "the process whose memory it watches does not hold it any more, which is not carried yet", "let that process keep its userfaultfd");
        int owner = context.MemoryOwner(ProcessOf(holder));
        List<WatchedRange> ranges = [];
        using DescriptorHandle own = sighting.Take();
        using var scan = new PageScan(holder);
        (SysResult result, List<ProcMapping> mappings) = ProcMaps.Read(holder);
        result.OrThrow($"read of /proc/{holder}/smaps");
        Span<byte> register = stackalloc byte[32]; // struct uffdio_register
        foreach (ProcMapping mapping in mappings.Where(WatchedMemory.Is))
        {
            // For the one that has it already, in these modes, there is nothing to do; for any other it is EBUSY (fs/userfaultfd.c, userfaultfd_register).
            register.Clear();
            BitConverter.TryWriteBytes(register, mapping.Start);
            BitConverter.TryWriteBytes(register[8..], mapping.Length);
            BitConverter.TryWriteBytes(register[16..], (ulong)WatchedMemory.ModesOf(mapping));
            SysResult asked = Files.IoControl(own.Number, UFFDIO_REGISTER, register);
            if (asked.Errno == Errno.EBUSY) continue;
            asked.OrThrow($"ioctl(UFFDIO_REGISTER) of {mapping.Range}", $"process {owner}");
            List<PageRun> present = [], guarded = [];
            scan.PresentPages(mapping.Start, mapping.End, present);
            scan.WriteProtectedPages(mapping.Start, mapping.End, guarded);
            ranges.Add(new WatchedRange(mapping.Start, mapping.End, WatchedMemory.ModesOf(mapping), (int)mapping.Protection, Runs(present), mapping.Has("uw") ? Runs(guarded) : []));
            context.Watched.Add((owner, mapping.Start));
        }
        return new UserFaultFdRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Process = context.InsideId(owner),
            Features = FeaturesOf(sighting) & ~Initialized,
            UserModeOnly = IsUserModeOnly(own.Number) ?? !MayHandleKernelFaults(holder),
            Ranges = [.. ranges],
        };
    }

    private static AddressRun[] Runs(List<PageRun> runs) => [.. runs.Select(run => new AddressRun(run.Start, run.End))];
    private static int ProcessOf(int tid) => ProcStatus.Read($"/proc/{tid}") is { } status ? (int)status.Number("Tgid") : tid;

    // One of each memory.
    private static IEnumerable<Sighting> Holders(int id, Sighting sighting, DescriptorCaptureContext context) =>
        context.Examined.All.Where(other => other.Carrier is null && other.Link == sighting.Link && context.DescriptionOf(other.Pid, other.Number) == id)
            .DistinctBy(other => context.MemoryOwner(ProcessOf(other.Pid)));

    /// <summary>
    /// Whether it watches the memory of this holder: only then it can register a page that was mapped there for this, where no other process
    /// has anything. All on one tape, which the process brings to its end whatever becomes of us.
    /// </summary>
    private static bool Watches(Sighting holder, DescriptorCaptureContext context)
    {
        var tape = new Tape();
        tape.Call("mmap of a page to ask about", Syscall.mmap, Nowhere, PageSize, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        TapeCall asked = tape.Try("ioctl(UFFDIO_REGISTER)", Syscall.ioctl, holder.Number, UFFDIO_REGISTER, tape.Data<ulong>(Nowhere, PageSize, WatchedMemory.UFFDIO_REGISTER_MODE_MISSING, 0));
        tape.Try("ioctl(UFFDIO_UNREGISTER)", Syscall.ioctl, holder.Number, UFFDIO_UNREGISTER, tape.Data<ulong>(Nowhere, PageSize));
        tape.Try("munmap", Syscall.munmap, Nowhere, PageSize);
        context.RunTape(holder.Pid, tape);
        return !asked.Result.Failed;
    }

    // The flag that limits it is told by no call.
    private static bool? IsUserModeOnly(int own)
    {
        if (KernelSight.Unavailable() is not null || !KernelSight.Has("userfaultfd_ctx", "flags")) return null;
        return (new KernelObject("userfaultfd_ctx", KernelSight.FilesOf(Environment.ProcessId)[own]["private_data"])["flags"] & UFFD_USER_MODE_ONLY) != 0;
    }

    // Where the kernel's own memory can't be looked at: who has no right to do without it has it (Documentation/admin-guide/sysctl/vm.rst, unprivileged_userfaultfd;
    // another way is /dev/userfaultfd, for those who may open that).
    private static bool MayHandleKernelFaults(int pid)
    {
        const int CAP_SYS_PTRACE = 19;
        if (Files.ReadText("/proc/sys/vm/unprivileged_userfaultfd").Text.Trim() == "1") return true;
        if (ProcStatus.Read($"/proc/{pid}") is not { } status || (status.Hex("CapEff") >> CAP_SYS_PTRACE & 1) != 0) return true;
        return Files.Status("/dev/userfaultfd") is { Result.Failed: false } device && ((device.Status.Permissions & 6) != 0 || device.Status.Uid == (uint)status.Number("Uid"));
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (UserFaultFdRecord)description;
        if (!context.IsProcess(record.Process)) context.Refuse(description, "userfaultfd", "the process whose memory it watches is not in the image", "the image is damaged; take another checkpoint");
    }

    public override bool NeedsTree(Description description) => true;

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (UserFaultFdRecord)description;
        var first = new Tape();
        TapeCall made = first.Call("userfaultfd", Syscall.userfaultfd, OpenFlags.O_CLOEXEC | (record.Flags & OpenFlags.O_NONBLOCK) | (record.UserModeOnly ? UFFD_USER_MODE_ONLY : 0));
        first.Call($"ioctl(UFFDIO_API, {record.Features:x})", Syscall.ioctl, made, UFFDIO_API, first.Data<ulong>(UFFD_API, record.Features, 0));
        context.RunIn(record.Process, first);
        int number = made.Result.Descriptor;
        List<Action<Tape>> calls = [];
        foreach (WatchedRange range in record.Ranges) Add(calls, number, range);
        foreach (Action<Tape>[] some in calls.Chunk(CallsPerTape))
        {
            var tape = new Tape();
            foreach (Action<Tape> call in some) call(tape);
            context.RunIn(record.Process, tape);
        }
        int own = ForeignDescriptor.Take(context.TaskOf(record.Process), number).OrThrowDescriptor("pidfd_getfd of a userfaultfd");
        var last = new Tape();
        last.Call("close", Syscall.close, number);
        context.RunIn(record.Process, last);
        return own;
    }

    private const int CallsPerTape = 200, PROT_READ = 1, PROT_WRITE = 2;

    /// <summary>The pages that hold more than zeros are there by now, and maybe others, where the kernel took a transparent huge page.</summary>
    private static void Add(List<Action<Tape>> calls, int userfaultfd, WatchedRange range)
    {
        const int MADV_DONTNEED = 4, MADV_POPULATE_READ = 22, MADV_POPULATE_WRITE = 23;
        ulong length = range.End - range.Start;
        bool readable = (range.Protection & PROT_READ) != 0, writable = (range.Protection & PROT_WRITE) != 0;
        if (!readable) calls.Add(tape => tape.Call("mprotect", Syscall.mprotect, range.Start, length, PROT_READ));
        foreach (AddressRun run in range.Present)
            calls.Add(tape => tape.Call($"madvise(MADV_POPULATE) of {run.Start:x}", Syscall.madvise, run.Start, run.End - run.Start, readable && writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ));
        if (!readable) calls.Add(tape => tape.Call("mprotect", Syscall.mprotect, range.Start, length, range.Protection));
        if ((range.Modes & WatchedMemory.UFFDIO_REGISTER_MODE_MISSING) != 0)
        {
            ulong at = range.Start;
            foreach (AddressRun run in range.Present.Append(new AddressRun(range.End, range.End)))
            {
                (ulong start, ulong end) = (at, run.Start);
                if (end > start) calls.Add(tape => tape.Call($"madvise(MADV_DONTNEED) of {start:x}", Syscall.madvise, start, end - start, MADV_DONTNEED));
                at = run.End;
            }
        }
        calls.Add(tape => tape.Call($"ioctl(UFFDIO_REGISTER) of {range.Start:x}-{range.End:x}", Syscall.ioctl, userfaultfd, UFFDIO_REGISTER, tape.Data<ulong>(range.Start, length, (ulong)range.Modes, 0)));
        foreach (AddressRun run in range.Protected)
            calls.Add(tape => tape.Call($"ioctl(UFFDIO_WRITEPROTECT) of {run.Start:x}", Syscall.ioctl, userfaultfd, UFFDIO_WRITEPROTECT, tape.Data<ulong>(run.Start, run.End - run.Start, 1 /* UFFDIO_WRITEPROTECT_MODE_WP */)));
    }
}
