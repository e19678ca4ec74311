namespace Stasis.State.Descriptors.Fanotify;

/// <summary>A fanotify group (man 7 fanotify) and its marks. What waited, and what happened while the program was away, is told as FAN_Q_OVERFLOW.</summary>
public sealed record FanotifyRecord : Description
{
    /// <summary>FAN_* of fanotify_init, and the flags with which events' files are opened.</summary>
    public required uint GroupFlags { get; init; }
    public required uint EventFlags { get; init; }
    public FanotifyMark[] Marks { get; init; } = [];

    public override Description? At(Func<string, string?> move) => Array.Exists(Marks, mark => move(mark.Path) is not null)
        ? this with { Marks = [.. Marks.Select(mark => mark with { Path = move(mark.Path) ?? mark.Path })] } : null;
}

public enum FanotifyMarkKind { File, Mount, FileSystem }

/// <summary>One mark: of a file or directory, of the mount or of the file system that its path lies on. A file without a name is that of a description.</summary>
public sealed record FanotifyMark(FanotifyMarkKind Kind, string Path, int Description, uint Flags, uint Mask, uint Ignored);
