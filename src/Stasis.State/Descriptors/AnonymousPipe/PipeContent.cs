using Stasis.Linux;

namespace Stasis.State.Descriptors.AnonymousPipe;

/// <summary>Copies and refills what waits in a pipe or FIFO.</summary>
public static class PipeContent
{
    private const int F_SETPIPE_SZ = 1031, F_SETFL = 4;

    /// <summary>Read and write end, inheritable.</summary>
    public static (int Read, int Write) NewPipe() => Pipes.Create(0);

    /// <summary>What waits, copied with tee(2) and so not consumed, and the lengths of the pieces as single reads would get them.</summary>
    public static (byte[] Content, int[] Lengths) Copy(int readEnd, int capacity)
    {
        (int read, int write) = Pipes.Create(OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC);
        using var ourRead = new DescriptorHandle(read);
        using var ourWrite = new DescriptorHandle(write);
        Files.Control(write, F_SETPIPE_SZ, capacity).OrThrow($"fcntl(F_SETPIPE_SZ, {capacity})");
        SysResult copied = Pipes.Tee(readEnd, write, capacity);
        if (copied.Errno == Errno.EAGAIN || !copied.Failed && copied.Value == 0) return ([], []);
        copied.OrThrow("tee");
        using var content = new MemoryStream();
        List<int> lengths = [];
        byte[] buffer = new byte[65536];
        while (content.Length < copied.Value)
        {
            int length = (int)Files.Read(read, buffer).OrThrow("read of a pipe's copy");
            content.Write(buffer, 0, length);
            lengths.Add(length);
        }
        return (content.ToArray(), [.. lengths]);
    }

    public static void Fill(int writeEnd, byte[] content, int[] packets)
    {
        if (packets.Length == 0)
        {
            Files.Control(writeEnd, F_SETFL, OpenFlags.O_NONBLOCK).OrThrow("fcntl(F_SETFL)");
            Files.WriteAll(writeEnd, content).OrThrow("write of a pipe's content");
            return;
        }
        Files.Control(writeEnd, F_SETFL, OpenFlags.O_NONBLOCK | OpenFlags.O_DIRECT).OrThrow("fcntl(F_SETFL, O_DIRECT)");
        int at = 0;
        foreach (int length in packets)
        {
            Files.WriteAll(writeEnd, content.AsSpan(at, length)).OrThrow("write of a packet");
            at += length;
        }
    }
}
