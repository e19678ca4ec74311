using System.Buffers.Binary;
using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.Cli.Streams;

/// <summary>What one wants to know of a terminal before writing to it. Changes nothing there.</summary>
internal sealed class Terminal
{
    // include/uapi/asm-generic/ioctls.h
    private const ulong TCGETS = 0x5401, TIOCGWINSZ = 0x5413;
    private const int TermiosBytes = 64; // struct termios of the kernel has 36

    private readonly int _descriptor;

    private Terminal(int descriptor) => _descriptor = descriptor;

    /// <summary>The terminal behind a descriptor; null when it is not one.</summary>
    public static Terminal? Behind(int descriptor) =>
        Files.IoControl(descriptor, TCGETS, stackalloc byte[TermiosBytes]).Failed ? null : new Terminal(descriptor);

    /// <summary>Columns; 80 where the terminal doesn't say.</summary>
    public int Columns
    {
        get
        {
            Span<byte> size = stackalloc byte[8]; // struct winsize: rows, columns, pixels
            if (Files.IoControl(_descriptor, TIOCGWINSZ, size).Failed) return 80;
            int columns = BinaryPrimitives.ReadUInt16LittleEndian(size[2..]);
            return columns == 0 ? 80 : columns;
        }
    }

    /// <summary>
    /// Whether a write goes through at once. It would wait on a terminal stopped with Ctrl-S, and on one with TOSTOP it would stop us
    /// when we are in the background; neither may happen for a progress bar while a target is frozen.
    /// </summary>
    public bool TakesWritesNow => InForeground() && (Poll.Events(_descriptor) & (Poll.POLLOUT | Poll.POLLERR | Poll.POLLHUP)) == Poll.POLLOUT;

    private static bool InForeground()
    {
        ProcStat? self = ProcStat.Parse(Files.ReadText("/proc/self/stat").Text);
        return self is not null && (self.ForegroundGroup < 0 || self.ForegroundGroup == self.ProcessGroup);
    }
}
