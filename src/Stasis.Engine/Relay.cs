using Stasis.Linux;
using Stasis.State.Descriptors.OuterStream;

namespace Stasis.Engine;

/// <summary>Carries bytes between our terminal and the one that a tree has in its place, until the tree has closed its own.</summary>
internal sealed class Relay : IDisposable
{
    private const int BufferLength = 16 * 1024;
    private static readonly TimeSpan s_lastWords = TimeSpan.FromSeconds(2);
    private readonly OuterTerminal _own;
    private readonly Thread _output;

    public Relay(OuterTerminal own, OuterTerminal between)
    {
        _own = own;
        own.SetRaw();
        _output = Carry(between.Number, own.Number);
        Carry(own.Number, between.Number);
    }

    /// <summary>After a stop from outside, or a start in the background: the terminal was someone else's meanwhile.</summary>
    public void TakeTerminal() => _own.SetRaw();

    private static Thread Carry(int from, int to)
    {
        var thread = new Thread(() =>
        {
            byte[] buffer = new byte[BufferLength];
            while (Files.Read(from, buffer) is { Failed: false, Value: > 0 } read)
                if (Files.WriteAll(to, buffer.AsSpan(0, (int)read.Value)).Failed) return;
        })
        { IsBackground = true };
        thread.Start();
        return thread;
    }

    /// <summary>What the tree wrote last is still shown: the master reads EIO when all of that is taken and the terminal closed.</summary>
    public void Dispose()
    {
        _output.Join(s_lastWords);
        _own.SetBack();
    }
}
