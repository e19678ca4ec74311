namespace Stasis.State.Descriptors.Inotify;

/// <summary>An inotify instance (man 7 inotify) and its watches, in order of their numbers.</summary>
public sealed record InotifyRecord : Description
{
    public InotifyWatch[] Watches { get; init; } = [];

    /// <summary>Events waited unread. Nobody can look at them without taking them: the restart tells of an overflow instead.</summary>
    public bool EventsWaiting { get; init; }

    /// <summary>What could be seen of the watched files and directories, as a hash; empty when it was too much to look at. Where it is another at
    /// the restart, something happened meanwhile of which the program would have been told.</summary>
    public string Sight { get; init; } = "";

    public override Description? At(Func<string, string?> move) => Array.Exists(Watches, watch => move(watch.Path) is not null)
        ? this with { Watches = [.. Watches.Select(watch => watch with { Path = move(watch.Path) ?? watch.Path })] } : null;
}

/// <summary>One watch. It is of the file at <see cref="Path"/>, or, where that has no name any more, of an open file description of the image.</summary>
public sealed record InotifyWatch
{
    /// <summary>The watch descriptor by which events name it; 1 up.</summary>
    public required int Number { get; init; }
    public required uint Mask { get; init; }
    public string Path { get; init; } = "";

    /// <summary>A directory that was listed for the sight: nobody in the tree hears of such a look.</summary>
    public bool Listed { get; init; }
    public int Description { get; init; }
}
