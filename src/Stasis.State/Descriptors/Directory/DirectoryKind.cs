using Stasis.Linux;

namespace Stasis.State.Descriptors.Directory;

/// <summary>An open directory and the position in its listing.</summary>
public sealed record DirectoryRecord : Description
{
    public required string Path { get; init; }

    /// <summary>The directory is removed; it is made, opened and removed again.</summary>
    public bool Deleted { get; init; }
    public required long Position { get; init; }

    /// <summary>What is told by a signal (DN_* of fcntl F_NOTIFY, man 2 fcntl); 0 for nothing.</summary>
    public uint Notify { get; init; }

    public override Description? At(Func<string, string?> move) => move(Path) is { } path ? this with { Path = path } : null;
}

public sealed class DirectoryKind : DescriptorKind
{
    private const string Deleted = " (deleted)";
    public override string Name => "directory";
    public override Type RecordType => typeof(DirectoryRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Status.Type == FileType.Directory && sighting.Link.StartsWith('/');

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        if (!context.Frozen) KernelSight.Unavailable(); // it takes a moment, which is better taken now
        if (sighting.Link.Contains('\uFFFD')) context.Refuse(sighting, "its name is not UTF-8", "rename the directory");
        else if (IsDeleted(sighting)) return;
        else if (Files.Status(sighting.Link) is { Result.Failed: false } found && found.Status.Identity != sighting.Status.Identity)
            context.Refuse(sighting, "its name leads to another directory now", "let the program open it again");
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context) =>
        new DirectoryRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Path = IsDeleted(sighting) ? sighting.Link[..^Deleted.Length] : sighting.Link,
            Deleted = IsDeleted(sighting),
            Position = IsDeleted(sighting) ? 0 : sighting.Information.Position,
            Notify = Told(sighting),
        };

    // Marks are also others', who go on: what can't be read was taken away just now.
    private static uint Told(Sighting sighting)
    {
        if ((sighting.Flags & OpenFlags.O_PATH) != 0 || KernelSight.Unavailable() is not null) return 0;
        try { return DirectoryNotes.Of(sighting.Pid, sighting.Number); }
        catch (KernelRefusal refusal) when (refusal.Errno == Errno.EFAULT) { return 0; }
    }

    public override bool NeedsFinish(Description description) => ((DirectoryRecord)description).Notify != 0;

    public override bool Finish(Description description, FinishContext context)
    {
        const int F_NOTIFY = 1026;
        context.Tape.Call("fcntl(F_NOTIFY)", Syscall.fcntl, context.Number, F_NOTIFY, ((DirectoryRecord)description).Notify);
        return true;
    }

    private static bool IsDeleted(Sighting sighting) => sighting.Status.Links == 0 && sighting.Link.EndsWith(Deleted, StringComparison.Ordinal);

    public override void Plan(Description description, PlanContext context)
    {
        var record = (DirectoryRecord)description;
        if ((record.Notify & ~DirectoryNotes.All) != 0) context.Refuse(record, record.Path, "what is told of it is impossible", "the image is damaged; take another checkpoint");
        if (record.Deleted) return;
        (SysResult result, FileStatus status) = Files.Status(record.Path);
        if (result.Failed || status.Type != FileType.Directory) context.Refuse(record, record.Path, "there is no such directory any more", "create it");
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (DirectoryRecord)description;
        if (record.Deleted) return RemovedDirectory.Open(record.Path, record.Flags);
        int descriptor = Files.Open(record.Path, record.Flags | OpenFlags.O_DIRECTORY).OrThrowDescriptor($"open of {record.Path}");
        if (record.Position != 0 && (record.Flags & OpenFlags.O_PATH) == 0) Files.Seek(descriptor, record.Position, 0).OrThrow($"lseek in {record.Path}");
        return descriptor;
    }
}
