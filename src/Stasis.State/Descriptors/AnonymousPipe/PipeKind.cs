using Stasis.Linux;
using Stasis.State.Descriptors.OuterStream;

namespace Stasis.State.Descriptors.AnonymousPipe;

/// <summary>One end of a pipe. Its content is stored with the first end captured.</summary>
public sealed record PipeRecord : Description
{
    /// <summary>Tells pipes of one image apart (the inode number at the checkpoint).</summary>
    public required ulong Pipe { get; init; }

    /// <summary>F_GETPIPE_SZ, in bytes.</summary>
    public required int Capacity { get; init; }

    /// <summary>The name of the content in the image; empty when the pipe was empty or another end's record has it.</summary>
    public string Stored { get; init; } = "";

    /// <summary>Lengths of the pieces in packet mode (O_DIRECT); empty for a plain stream.</summary>
    public int[] Packets { get; init; } = [];
}

/// <summary>Anonymous pipes with both ends in the tree (or one end closed), with content and capacity. Content is copied with tee(2), not consumed.</summary>
public sealed class PipeKind : DescriptorKind
{
    private const int F_SETPIPE_SZ = 1031, F_GETPIPE_SZ = 1032;
    private const int MaxCapacity = 1 << 30;

    public override string Name => "pipe";
    public override Type RecordType => typeof(PipeRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Status.Type == FileType.Fifo && sighting.Link.StartsWith("pipe:", StringComparison.Ordinal);

    private static bool Reads(Sighting sighting) => (sighting.Flags & OpenFlags.O_ACCMODE) is OpenFlags.O_RDONLY or OpenFlags.O_RDWR;
    private static bool Writes(Sighting sighting) => (sighting.Flags & OpenFlags.O_ACCMODE) is OpenFlags.O_WRONLY or OpenFlags.O_RDWR;

    /// <summary>What the tree has of one pipe.</summary>
    private sealed record Ends(bool Read, bool Write, bool Packets, bool Standard);

    // Of all pipes at once: there may be thousands.
    private static Ends EndsOf(Sighting sighting, ExamineContext context)
    {
        if (!context.Cache.TryGetValue("pipes", out object? cached))
        {
            var all = new Dictionary<ulong, Ends>();
            foreach (Sighting end in context.All.Concat(context.OfRequester).Where(s => s.Link.StartsWith("pipe:", StringComparison.Ordinal)))
            {
                Ends have = all.GetValueOrDefault(end.Status.Inode) ?? new Ends(false, false, false, false);
                all[end.Status.Inode] = new Ends(have.Read || Reads(end), have.Write || Writes(end), have.Packets || (end.Flags & OpenFlags.O_DIRECT) != 0, have.Standard || end.Number <= 2);
            }
            context.Cache["pipes"] = cached = all;
        }
        return ((Dictionary<ulong, Ends>)cached)[sighting.Status.Inode];
    }

    /// <summary>Whether the other end is held by somebody outside the tree: nobody inside has it, and yet it is not closed.</summary>
    private static bool IsOuter(Sighting sighting, ExamineContext context)
    {
        (bool read, bool write, _, _) = EndsOf(sighting, context);
        if (read && write) return false;
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return false; // closed meanwhile
        using var ours = new DescriptorHandle(taken.Descriptor);
        // The read end hangs up when there is no writer, the write end errs when there is no reader (man 2 poll).
        return (Poll.Events(ours.Number) & (read ? Poll.POLLHUP : Poll.POLLERR)) == 0;
    }

    private static int Waiting(Sighting sighting)
    {
        const ulong FIONREAD = 0x541B;
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return 0; // closed meanwhile
        using var ours = new DescriptorHandle(taken.Descriptor);
        int bytes = 0;
        return Files.IoControl(ours.Number, FIONREAD, ref bytes).Failed ? 0 : bytes;
    }

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        if (!context.Complete || !IsOuter(sighting, context)) return;
        if (EndsOf(sighting, context).Standard) // a standard stream: bound at restart
        {
            if (Reads(sighting) && Waiting(sighting) is var bytes and > 0)
                context.Refuse(sighting, $"{bytes} bytes wait in this pipe, whose other end is held by a process outside the tree", "checkpoint the process that holds both ends, or try again when they are read");
            return;
        }
        context.Refuse(sighting, "the other end of this pipe is held by a process outside the tree", $"checkpoint the process that holds both ends, redirect to a file, or leave it out: --external {sighting.Pid}/{sighting.Number}");
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        if (IsOuter(sighting, context.Examined)) return OuterStreamKind.Record(id, sighting, false, context.Examined);
        using DescriptorHandle ours = new(Files.Open($"/proc/{sighting.Pid}/fd/{sighting.Number}", OpenFlags.O_RDONLY | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC)
            .OrThrowDescriptor($"open of {sighting.Link}"));
        int capacity = Files.Control(ours.Number, F_GETPIPE_SZ).OrThrowDescriptor("fcntl(F_GETPIPE_SZ)");
        var record = new PipeRecord { Id = id, Flags = sighting.Flags, Pipe = sighting.Status.Inode, Capacity = capacity };
        if (!context.Examined.Cache.TryAdd($"pipe content {sighting.Status.Inode}", true)) return record;
        bool packets = EndsOf(sighting, context.Examined).Packets;
        (byte[] content, int[] lengths) = PipeContent.Copy(ours.Number, capacity);
        return content.Length == 0 ? record : record with { Stored = context.StoreBytes($"pipe-{id}", content), Packets = packets ? lengths : [] };
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (PipeRecord)description;
        if (record.Capacity is < 4096 or > MaxCapacity || record.Packets.Any(length => length is <= 0 or > 65536) || record.Stored.Length > 0 && !context.HasStored(record.Stored))
            context.Refuse(record, "a pipe", "the image is broken here", "take a new checkpoint");
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (PipeRecord)description;
        string key = $"pipe {record.Pipe}";
        if (!context.Shared.TryGetValue(key, out object? made)) context.Shared[key] = made = Make(record, context);
        var pipe = (BasePipe)made;
        // The descriptions that pipe2 itself made lack O_LARGEFILE, those opened by way of /proc have it.
        if ((record.Flags & OpenFlags.O_LARGEFILE) == 0 && pipe.TakeEnd(record.Flags & OpenFlags.O_ACCMODE) is { } end) return end;
        return Files.Open($"/proc/self/fd/{pipe.Any}", record.Flags & OpenFlags.O_ACCMODE).OrThrowDescriptor("open of a pipe end");
    }

    /// <summary>A pipe just made, with its two ends; each can be the description of the image once.</summary>
    private sealed class BasePipe(int read, int write)
    {
        private bool _readTaken, _writeTaken;

        /// <summary>An end that can be opened again as either.</summary>
        public int Any => write;

        public int? TakeEnd(int access)
        {
            if (access == OpenFlags.O_RDONLY && !_readTaken) { _readTaken = true; return read; }
            if (access == OpenFlags.O_WRONLY && !_writeTaken) { _writeTaken = true; return write; }
            return null;
        }
    }

    // The pipe with its content; its ends are closed here before the tree goes on.
    private static BasePipe Make(PipeRecord first, RebuildContext context)
    {
        (int read, int write) = PipeContent.NewPipe();
        context.CloseBeforeResume.Add(read);
        context.CloseBeforeResume.Add(write);
        if (first.Capacity != 65536) Files.Control(write, F_SETPIPE_SZ, first.Capacity).OrThrow($"fcntl(F_SETPIPE_SZ, {first.Capacity})");
        PipeRecord? withContent = context.Descriptions.Values.OfType<PipeRecord>().FirstOrDefault(r => r.Pipe == first.Pipe && r.Stored.Length > 0);
        if (withContent is not null) PipeContent.Fill(write, context.StoredBytes(withContent.Stored), withContent.Packets);
        Files.Control(write, 4 /* F_SETFL */, 0).OrThrow("fcntl(F_SETFL)");
        return new BasePipe(read, write);
    }
}
