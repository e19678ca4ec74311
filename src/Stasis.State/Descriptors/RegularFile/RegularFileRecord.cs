namespace Stasis.State.Descriptors.RegularFile;

/// <summary>A byte-range lock of an open file description (fcntl F_OFD_SETLK); End is -1 up to the end of file.</summary>
public sealed record RangeLock(bool Write, long Start, long End);

/// <summary>An open regular file, memfd or shared memory file.</summary>
public sealed record RegularFileRecord : Description
{
    /// <summary>The inode it is of. Found by its path, or made anew from the image's content.</summary>
    public required int Object { get; init; }
    public required long Position { get; init; }

    /// <summary>The name it was opened by, when it is not gone; a file may have several.</summary>
    public string Path { get; init; } = "";

    /// <summary>The name it was opened by, when that is gone but the file has another: a name for a moment only.</summary>
    public string GoneName { get; init; } = "";

    /// <summary>flock(2): "READ", "WRITE" or empty.</summary>
    public string Flock { get; init; } = "";

    /// <summary>fcntl(F_GETLEASE): "READ", "WRITE" or empty.</summary>
    public string Lease { get; init; } = "";
    public RangeLock[] OfdLocks { get; init; } = [];

    public override Description? At(Func<string, string?> move) =>
        (move(Path), move(GoneName)) is var (path, gone) && (path ?? gone) is not null ? this with { Path = path ?? Path, GoneName = gone ?? GoneName } : null;
}
