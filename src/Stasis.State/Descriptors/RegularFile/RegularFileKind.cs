using Stasis.Linux;
using Stasis.State.Memory;

namespace Stasis.State.Descriptors.RegularFile;

/// <summary>Regular files by name, deleted files, memfds and POSIX shared memory: position, flags and locks.</summary>
public sealed class RegularFileKind : DescriptorKind
{
    private const int LOCK_SH = 1, LOCK_EX = 2, LOCK_NB = 4, F_OFD_SETLK = 37;

    private const string Gone = " (deleted)";

    public override string Name => "file";
    public override Type RecordType => typeof(RegularFileRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Status.Type == FileType.Regular && sighting.Link.StartsWith('/');

    private const long MQUEUE_MAGIC = 0x19800202; // include/uapi/linux/magic.h

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        if (Files.FileSystem($"/proc/{sighting.Pid}/fd/{sighting.Number}") == MQUEUE_MAGIC)
        {
            context.Refuse(sighting, "a POSIX message queue is not carried yet", "let the program close it first");
            return;
        }
        if (sighting.Information.All("lock").Any(line => line.Contains("BREAK", StringComparison.Ordinal) || line.Contains("DELEG", StringComparison.Ordinal)))
            context.Refuse(sighting, "its lease is being broken: another process waits to open the file", "try again in a moment, or let the program give the lease up");
        if (!context.Cache.TryGetValue("objects", out object? cached)) context.Cache["objects"] = cached = new ObjectCatalogue();
        (CataloguedObject? found, string? why, string? advice) = ((ObjectCatalogue)cached).OfDescriptor(sighting.Pid, sighting.Number, sighting.Link);
        if (found is null && !Files.Status($"/proc/{sighting.Pid}/fd/{sighting.Number}").Result.Failed) context.Refuse(sighting, why!, advice!);
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        (CataloguedObject? found, string? why, _) = context.Objects.OfDescriptor(sighting.Pid, sighting.Number, sighting.Link);
        if (found is null) throw new KernelRefusal($"{sighting.What}: {why}", Errno.ENOENT, $"process {sighting.Pid}");
        if ((sighting.Flags & OpenFlags.__O_TMPFILE) != 0 && found.Record.Kind == ObjectKind.Deleted) found.Record = found.Record with { MadeNameless = sighting.Flags };
        if ((sighting.Flags & OpenFlags.O_ACCMODE) != OpenFlags.O_RDONLY && (sighting.Flags & OpenFlags.O_PATH) == 0)
            found.Record = found.Record with { OpenForWriting = true };
        return new RegularFileRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Object = found.Record.Id,
            Path = IsName(sighting) ? sighting.Link : "",
            GoneName = found.Record.Kind == ObjectKind.File && sighting.Link.EndsWith(Gone, StringComparison.Ordinal) ? sighting.Link[..^Gone.Length] : "",
            Position = sighting.Information.Position,
            Lease = FileLock.Of(sighting.Information).FirstOrDefault(l => l.Kind == "LEASE") is { } lease ? (lease.Write ? "WRITE" : "READ") : "",
            Flock = FileLock.Of(sighting.Information).FirstOrDefault(l => l.Kind == "FLOCK") is { } flock ? (flock.Write ? "WRITE" : "READ") : "",
            OfdLocks = [.. FileLock.Of(sighting.Information).Where(l => l.Kind == "OFDLCK").Select(l => new RangeLock(l.Write, l.Start, l.End))],
        };
    }

    // Through its old name, linked again for this moment, so that /proc shows the same; by its other name where that does not work.
    private static int Open(RegularFileRecord record, RebuildContext context)
    {
        if (record.GoneName.StartsWith('/') && context.PathOf(record.Object) is { } other && !Files.LinkPath(other, record.GoneName).Failed)
        {
            try
            {
                return context.OpenObject(record.Object, record.Flags, record.GoneName);
            }
            finally
            {
                Files.Unlink(record.GoneName);
            }
        }
        return context.OpenObject(record.Object, record.Flags, record.Path.Length > 0 ? record.Path : null);
    }

    private const int MaxLocks = 1 << 20;

    public override bool NeedsFinish(Description description) => ((RegularFileRecord)description).Lease.Length > 0;

    // By the process itself, which is told when somebody else opens the file.
    public override bool Finish(Description description, FinishContext context)
    {
        const int F_SETLEASE = 1024, F_RDLCK = 0, F_WRLCK = 1;
        context.Tape.Call("fcntl(F_SETLEASE)", Syscall.fcntl, context.Number, F_SETLEASE, ((RegularFileRecord)description).Lease == "WRITE" ? F_WRLCK : F_RDLCK);
        return true;
    }

    private static bool IsName(Sighting sighting) => Files.Status(sighting.Link) is { Result.Failed: false } found && found.Status.Identity == sighting.Status.Identity;

    public override void Plan(Description description, PlanContext context)
    {
        var record = (RegularFileRecord)description;
        if (!context.Objects.TryGetValue(record.Object, out ObjectRecord? file))
        {
            context.Refuse(record, "a file", "the image does not say which file it is", "take a new checkpoint");
            return;
        }
        if (record.Lease is not ("" or "READ" or "WRITE") || record.Flock is not ("" or "READ" or "WRITE") || record.Position < 0 || record.OfdLocks.Length > MaxLocks || record.OfdLocks.Any(range => !FileLock.IsRange(range.Start, range.End)))
        {
            context.Refuse(record, file.Path, "its position or locks are impossible", "the image is damaged; take another checkpoint");
            return;
        }
        if (file.Kind != ObjectKind.File || file.Volatile || record.Path.Length == 0 || record.Path == file.Path) return;
        if (!record.Path.StartsWith('/') || !FileChange.Same(file, record.Path))
            context.Refuse(record, record.Path, $"this other name of {file.Path} is gone or leads to another file", $"link it again (ln {file.Path} {record.Path})");
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (RegularFileRecord)description;
        int descriptor = Open(record, context);
        if ((record.Flags & OpenFlags.O_PATH) != 0) return descriptor;
        if (record.Position != 0) Files.Seek(descriptor, record.Position, 0).OrThrow("lseek");
        if (record.Flock.Length > 0) Kernel.CallRetrying(Syscall.flock, descriptor, (record.Flock == "WRITE" ? LOCK_EX : LOCK_SH) | LOCK_NB).OrThrow("flock");
        foreach (RangeLock range in record.OfdLocks)
        {
            byte[] flock = FileLock.Bytes(range.Write, range.Start, range.End);
            FileLock.Set(descriptor, F_OFD_SETLK, flock).OrThrow("fcntl(F_OFD_SETLK)");
        }
        return descriptor;
    }
}
