namespace Stasis.State.Descriptors.Fifo;

/// <summary>One opening of a named pipe (man 7 fifo). Its content is stored with the first opening captured.</summary>
public sealed record FifoRecord : Description
{
    public required string Path { get; init; }

    /// <summary>Whether the name was gone, or had come to mean another file.</summary>
    public bool Nameless { get; init; }

    /// <summary>Tells the FIFOs of one image apart.</summary>
    public required uint DeviceMajor { get; init; }
    public required uint DeviceMinor { get; init; }
    public required ulong Inode { get; init; }
    public int Permissions { get; init; }
    public uint Uid { get; init; }
    public uint Gid { get; init; }

    /// <summary>F_GETPIPE_SZ, in bytes.</summary>
    public required int Capacity { get; init; }

    /// <summary>The name of the content in the image; empty when there was none or another opening's record has it.</summary>
    public string Stored { get; init; } = "";

    /// <summary>Lengths of the pieces in packet mode (O_DIRECT); empty for a plain stream.</summary>
    public int[] Packets { get; init; } = [];

    public override Description? At(Func<string, string?> move) => move(Path) is { } path ? this with { Path = path } : null;
}
