using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Processes;

namespace Stasis.State.Descriptors.IoUring;

/// <summary>
/// Instances of io_uring with nothing in flight: rings, what is registered, and the kernel's counters. Made in our own process; where only
/// one thread may submit (IORING_SETUP_SINGLE_ISSUER), that thread does, on its tape.
/// </summary>
public sealed class IoUringKind : DescriptorKind
{
    public const string Link = "anon_inode:[io_uring]";
    private const string Without = "start the program with io_uring off (for libuv and Node.js: UV_USE_IO_URING=0)";
    private const int MaxLength = 1 << 24;

    public override string Name => "io_uring";
    public override Type RecordType => typeof(IoUringRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Link == Link;

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        if (KernelSight.Unavailable() is { } why)
        {
            context.Refuse(sighting, $"what an io_uring holds can't be looked at: {why}", Without);
            return;
        }
        if (sighting.Carrier is not null) context.Refuse(sighting, "an io_uring that waits in a socket is not carried yet", "checkpoint when it has been received");
        try { Look(sighting, context); }
        catch (KernelRefusal refusal) when (!context.Frozen && refusal.Errno == Errno.EFAULT) { } // it changed under our eyes; the frozen look is the true one
    }

    private static void Look(Sighting sighting, ExamineContext context)
    {
        if (RingSight.Of(sighting.Pid, sighting.Number) is not { } ring) return; // closed meanwhile
        if (ring.Uncarried() is { } uncarried) context.Refuse(sighting, $"an io_uring with {uncarried} is not carried yet", Without);
        else if (ring.InFlight() > 0)
            context.Problems.AddPassing(sighting.Bearer.Pid, sighting.Command, sighting.What, "requests of this io_uring are in flight: they live in the kernel", $"try again when the program is idle, or {Without}");
        else if (ring.Overflowed) context.Refuse(sighting, "more completions of this io_uring wait than its queue has room for", "try again when the program has taken some");
        else if (context.Frozen && Registered(sighting, ring, context) is { } lost) context.Refuse(sighting, lost.Why, lost.Advice);
    }

    // What must be found in the tree to be registered again.
    private static (string Why, string Advice)? Registered(Sighting sighting, RingSight ring, ExamineContext context)
    {
        bool single = (ring.Flags & IoUrings.IORING_SETUP_SINGLE_ISSUER) != 0;
        if (Math.Max(ring.Taken, ring.Completed) > RingCounters.Most || single && ring.Taken / ring.Entries > RingCounters.MostBatches) return ($"this io_uring has taken {ring.Taken} requests, and it would take a restart too long to count up to there", Without);
        int owner = Owner(sighting, ring, context);
        if (single && ring.Submitter != 0 && owner == 0) return ("only one thread may submit to this io_uring (IORING_SETUP_SINGLE_ISSUER), which is no process's main thread or has ended: that is not carried yet", Without);
        if (ring.Taken > ring.Completed && !ring.NoDrain) return ("some of this io_uring's requests were dropped, and it can't be counted up to where it stands", Without);
        int registrar = owner != 0 ? owner : sighting.Pid;
        if (Holders(sighting, context).Any(pid => MainOf(pid) == pid && pid != MainOf(registrar) && PlacesOf(pid, ring).Any())) return ("a process that did not make this io_uring has it registered for itself (IORING_REGISTER_RING_FDS), which is not carried yet", Without);
        if (ring.EventFd.Context is var wanted and not 0 && EventFdAt(wanted, registrar, context) is null) return ("an eventfd is registered with this io_uring that its process does not have open any more", "let the program take it back (IORING_UNREGISTER_EVENTFD)");
        Dictionary<ulong, Sighting> open = OpenFiles(registrar, context);
        if (ring.Files().Any(file => file.File != 0 && !open.ContainsKey(file.File))) return ("a file is registered with this io_uring that its process does not have open any more, which is not carried yet", "let the program take it back (IORING_UNREGISTER_FILES)");
        if (ring.Buffers() is not { } buffers) return ("a buffer of the kernel's own is registered with this io_uring, which can't be carried", Without);
        if (buffers.Any(buffer => buffer.Buffer.Length > 0 && (owner == 0 || !RingMappings.IsStill(owner, buffer.Buffer, buffer.Page)))) return ("a buffer is registered with this io_uring that is no memory of its process any more", "let the program take it back (IORING_UNREGISTER_BUFFERS)");
        return null;
    }

    private static int MainOf(int pid) => ProcStatus.Read($"/proc/{pid}")?.Number("Tgid") is { } leader ? (int)leader : pid;

    // The process whose main thread alone may submit; else that whose memory it was made with (after a restart that is ours, which is gone), or
    // whose memory its buffers are. 0 when none of those that have it is.
    private static int Owner(Sighting sighting, RingSight ring, ExamineContext context)
    {
        List<int> holders = [.. Holders(sighting, context).Where(pid => MainOf(pid) == pid)];
        if (ring.Submitter != 0 && (ring.Flags & IoUrings.IORING_SETUP_SINGLE_ISSUER) != 0) return holders.FirstOrDefault(pid => KernelSight.TaskOf(pid)?.Address == ring.Submitter);
        List<(RingBuffer Buffer, ulong Page)> buffers = ring.Buffers() ?? [];
        return holders.OrderByDescending(pid => KernelSight.TaskOf(pid) is { } task && task["mm"] == ring.Memory)
            .FirstOrDefault(pid => buffers.All(buffer => buffer.Buffer.Length == 0 || RingMappings.IsStill(pid, buffer.Buffer, buffer.Page)));
    }

    private static IEnumerable<int> Holders(Sighting sighting, ExamineContext context) =>
        context.All.Where(other => other.Carrier is null && other.Link == Link && other.Status.Inode == sighting.Status.Inode).Select(other => other.Pid).Distinct();

    private static Dictionary<ulong, Sighting> OpenFiles(int pid, ExamineContext context)
    {
        Dictionary<int, KernelObject> files = KernelSight.FilesOf(pid);
        Dictionary<ulong, Sighting> open = [];
        foreach (Sighting sighting in context.All.Where(sighting => sighting.Pid == pid && sighting.Carrier is null))
            if (files.TryGetValue(sighting.Number, out KernelObject file)) open.TryAdd(file.Address, sighting);
        return open;
    }

    private static Sighting? EventFdAt(ulong wanted, int pid, ExamineContext context)
    {
        Dictionary<int, KernelObject> files = KernelSight.FilesOf(pid);
        return context.All.FirstOrDefault(sighting => sighting.Pid == pid && sighting.Link == "anon_inode:[eventfd]" && files.TryGetValue(sighting.Number, out KernelObject file) && file["private_data"] == wanted);
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        RingSight ring = RingSight.Of(sighting.Pid, sighting.Number) ?? throw new InvariantBroken($"{sighting.What} of process {sighting.Pid} is gone, though its process is frozen");
        int owner = Owner(sighting, ring, context.Examined), registrar = owner != 0 ? owner : sighting.Pid;
        (ulong eventFd, bool eventFdAsync) = ring.EventFd;
        Sighting? told = eventFd == 0 ? null : EventFdAt(eventFd, registrar, context.Examined);
        Dictionary<ulong, Sighting> open = OpenFiles(registrar, context.Examined);
        (uint from, uint to) = ring.FileRange;
        return new IoUringRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Inode = sighting.Status.Inode,
            SetupFlags = ring.Flags,
            Entries = ring.Entries,
            CompletionEntries = ring.CompletionEntries,
            Taken = ring.Taken,
            Completed = ring.Completed,
            NoDrain = ring.NoDrain,
            Stored = context.StoreBytes($"ring-{id}", Memory(sighting, ring)),
            RingsLength = ring.RingsLength,
            RequestsLength = ring.RequestsLength,
            Process = context.InsideId(MainOf(registrar)),
            EventFd = told is null ? 0 : context.DescriptionOf(told.Pid, told.Number),
            EventFdAsync = eventFdAsync,
            Files = [.. ring.Files().Select(file => new RingFile(file.File == 0 ? 0 : context.DescriptionOf(open[file.File].Pid, open[file.File].Number), file.Tag))],
            FilesFrom = from,
            FilesTo = to,
            Buffers = [.. ring.Buffers()!.Select(buffer => buffer.Buffer)],
            WorkerLimits = ring.WorkerLimits,
            Clock = ring.Clock,
            Places = [.. PlacesOf(MainOf(registrar), ring).Order()],
        };
    }

    private static byte[] Memory(Sighting sighting, RingSight ring)
    {
        using DescriptorHandle own = sighting.Take();
        using var rings = new RingMemory(own.Number, IoUrings.IORING_OFF_SQ_RING, ring.RingsLength);
        using var requests = new RingMemory(own.Number, IoUrings.IORING_OFF_SQES, ring.RequestsLength);
        return [.. rings.Bytes, .. requests.Bytes];
    }

    // What other threads, or threads without a descriptor of it, have registered is refused by RingsOfTask.
    private static IEnumerable<int> PlacesOf(int pid, RingSight ring) => RingSight.RegisteredBy(pid).Where(registered => registered.Value == ring.File).Select(registered => registered.Key);

    public override void Plan(Description description, PlanContext context)
    {
        var record = (IoUringRecord)description;
        bool Power(uint number) => number is > 0 and <= 1 << 17 && (number & (number - 1)) == 0;
        string? damage = !Power(record.Entries) || !Power(record.CompletionEntries) || record.CompletionEntries < record.Entries ? "its sizes are impossible"
            : record.RingsLength is < 4096 or > MaxLength || record.RequestsLength is < 4096 or > MaxLength || !context.HasStored(record.Stored) ? "its memory is not there"
            : Math.Max(record.Taken, record.Completed) > RingCounters.Most || IsLate(record) && record.Taken / record.Entries > RingCounters.MostBatches ? "its counters are impossible"
            : !context.IsProcess(record.Process) || record.Places.Any(place => place is < 0 or > 15) ? "no process has it"
            : record.EventFd != 0 && context.Descriptions.GetValueOrDefault(record.EventFd) is not EventFd.EventFdRecord ? "its eventfd is none"
            : record.Files.Any(file => file.Description != 0 && !context.Descriptions.ContainsKey(file.Description)) ? "a registered file is not there"
            : record.WorkerLimits.Length is not (0 or 2) ? "its limits are impossible" : null;
        if (damage is not null)
        {
            context.Refuse(description, Link, damage, "the image is damaged; take another checkpoint");
            return;
        }
        (SysResult made, _) = IoUrings.Setup(1, 0, 0);
        if (made.Failed) context.Refuse(description, Link, $"this kernel makes no io_uring here ({made.Errno})", "allow it (sysctl kernel.io_uring_disabled=0)");
        else Files.Close(made.Descriptor);
    }

    private static bool IsLate(IoUringRecord record) => (record.SetupFlags & IoUrings.IORING_SETUP_SINGLE_ISSUER) != 0 && (record.SetupFlags & IoUrings.IORING_SETUP_R_DISABLED) == 0;

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (IoUringRecord)description;
        // Who enables it is the one that may submit.
        (SysResult made, RingLayout layout) = IoUrings.Setup(record.Entries, record.CompletionEntries, record.SetupFlags | (IsLate(record) ? IoUrings.IORING_SETUP_R_DISABLED : 0) | IoUrings.IORING_SETUP_CQSIZE);
        int ring = made.OrThrowDescriptor($"io_uring_setup with {record.Entries} entries and flags 0x{record.SetupFlags:x}");
        if (layout.Entries != record.Entries || layout.Completions != record.CompletionEntries) throw new KernelRefusal("io_uring_setup with the same sizes", Errno.EINVAL);
        context.Shared[Key(record)] = layout;
        if (!IsLate(record)) Advance(record, ring, layout, context, times =>
        {
            for (int i = 0; i < times; i++) IoUrings.Enter(ring, layout.Entries, 0).OrThrow("io_uring_enter with requests that do nothing");
        });
        return ring;
    }

    private static string Key(IoUringRecord record) => $"io_uring {record.Id}";

    private static void Advance(IoUringRecord record, int ring, RingLayout layout, RebuildContext context, Action<int> enter)
    {
        byte[] content = context.StoredBytes(record.Stored);
        if (content.Length != record.RingsLength + record.RequestsLength) throw new KernelRefusal("the memory of an io_uring has another length than its record says", Errno.EINVAL);
        long request = (record.SetupFlags & IoUrings.IORING_SETUP_SQE128) != 0 ? 128 : 64, completion = (record.SetupFlags & IoUrings.IORING_SETUP_CQE32) != 0 ? 32 : 16;
        if (record.RingsLength < Math.Max(layout.Array + layout.Entries * 4L, layout.CompletionEntries + layout.Completions * completion) || record.RequestsLength < layout.Entries * request)
            throw new KernelRefusal("io_uring_setup: its memory is larger than that in the image", Errno.EINVAL);
        using var rings = new RingMemory(ring, IoUrings.IORING_OFF_SQ_RING, record.RingsLength);
        using var requests = new RingMemory(ring, IoUrings.IORING_OFF_SQES, record.RequestsLength);
        var counters = new RingCounters(record, layout, rings, requests) { Content = content };
        counters.Advance(enter, count => RingMessages.Send(ring, count, () => enter(0)));
        counters.Fill();
    }

    public override bool NeedsFinish(Description description)
    {
        var record = (IoUringRecord)description;
        return IsLate(record) || record.EventFd != 0 || record.Files.Length > 0 || record.Buffers.Length > 0 || record.WorkerLimits.Length > 0 || record.Clock != CLOCK_MONOTONIC || record.Places.Length > 0;
    }

    private const int CLOCK_MONOTONIC = 1;

    public override bool MustFinish => true;

    public override bool Finish(Description description, FinishContext context)
    {
        var record = (IoUringRecord)description;
        // What is a thread's is the main one's.
        if (!context.Leads && (IsLate(record) || record.Places.Length > 0)) return false;
        if (context.Pid != record.Process || !record.Files.Select(file => file.Description).Append(record.EventFd).Where(id => id != 0).All(id => context.Table.Entries.Any(entry => entry.Description == id))) return false;
        if (IsLate(record)) AdvanceBy(record, context);
        foreach (int place in record.Places) RegisterItself(place, context);
        Register(record, context);
        return true;
    }

    private static void AdvanceBy(IoUringRecord record, FinishContext context)
    {
        var layout = (RingLayout)context.Rebuild.Shared[Key(record)];
        context.Batch.Tape.Call("io_uring_register(ENABLE_RINGS)", Syscall.io_uring_register, context.Number, IoUrings.IORING_REGISTER_ENABLE_RINGS, 0, 0);
        Advance(record, context.Rebuild.DescriptorOf(record.Id), layout, context.Rebuild, times =>
        {
            for (int i = 0; i < Math.Max(times, 1); i++)
                context.Batch.Tape.Call("io_uring_enter with requests that do nothing", Syscall.io_uring_enter, context.Number, times == 0 ? 0 : layout.Entries, 0, IoUrings.IORING_ENTER_GETEVENTS, 0, 0);
            context.Batch.Flush();
        });
    }

    // struct io_uring_rsrc_update: offset 4, reserved 4, data 8
    private static void RegisterItself(int place, FinishContext context)
    {
        Tape tape = context.Batch.Tape;
        tape.Call("io_uring_register(RING_FDS)", Syscall.io_uring_register, context.Number, IoUrings.IORING_REGISTER_RING_FDS, tape.Data<ulong>((ulong)(uint)place, (ulong)(uint)context.Number), 1);
    }

    private static void Register(IoUringRecord record, FinishContext context)
    {
        int ring = context.Number;
        Tape tape = context.Batch.Tape;
        if (record.EventFd != 0)
            tape.Call("io_uring_register(EVENTFD)", Syscall.io_uring_register, ring, record.EventFdAsync ? IoUrings.IORING_REGISTER_EVENTFD_ASYNC : IoUrings.IORING_REGISTER_EVENTFD, tape.Data<int>(NumberOf(record.EventFd, context)), 1);
        if (record.Files.Length > 0)
        {
            TapeData numbers = tape.Data<int>([.. record.Files.Select(file => file.Description == 0 ? -1 : NumberOf(file.Description, context))]), tags = tape.Data<ulong>([.. record.Files.Select(file => file.Tag)]);
            RegisterMany(tape, "io_uring_register(FILES2)", ring, IoUrings.IORING_REGISTER_FILES2, record.Files.Length, numbers, tags);
            if ((record.FilesFrom, record.FilesTo) != (0u, (uint)record.Files.Length) && record.FilesTo > record.FilesFrom)
                tape.Call("io_uring_register(FILE_ALLOC_RANGE)", Syscall.io_uring_register, ring, IoUrings.IORING_REGISTER_FILE_ALLOC_RANGE, tape.Data<uint>(record.FilesFrom, record.FilesTo - record.FilesFrom, 0, 0), 0);
        }
        if (record.Buffers.Length > 0)
        {
            TapeData vectors = tape.Data<ulong>([.. record.Buffers.SelectMany(buffer => (ulong[])[buffer.Address, buffer.Length])]), tags = tape.Data<ulong>([.. record.Buffers.Select(buffer => buffer.Tag)]);
            RegisterMany(tape, "io_uring_register(BUFFERS2)", ring, IoUrings.IORING_REGISTER_BUFFERS2, record.Buffers.Length, vectors, tags);
        }
        if (record.WorkerLimits.Length > 0) tape.Call("io_uring_register(IOWQ_MAX_WORKERS)", Syscall.io_uring_register, ring, IoUrings.IORING_REGISTER_IOWQ_MAX_WORKERS, tape.Data<uint>(record.WorkerLimits), 2);
        if (record.Clock != CLOCK_MONOTONIC) tape.Call("io_uring_register(CLOCK)", Syscall.io_uring_register, ring, IoUrings.IORING_REGISTER_CLOCK, tape.Data<uint>((uint)record.Clock, 0, 0, 0), 0);
    }

    // struct io_uring_rsrc_register: nr 4, flags 4, reserved 8, data 8, tags 8
    private static void RegisterMany(Tape tape, string words, int ring, int operation, int count, TapeData data, TapeData tags)
    {
        TapeData argument = tape.Data<ulong>((ulong)(uint)count, 0, 0, 0);
        tape.PointAt(argument, 16, data);
        tape.PointAt(argument, 24, tags);
        tape.Call(words, Syscall.io_uring_register, ring, operation, argument, 32);
    }

    private static int NumberOf(int description, FinishContext context) => context.Table.Entries.First(entry => entry.Description == description).Number;
}
