using System.Text;
using Stasis.Cli.Failures;
using Stasis.Linux;

namespace Stasis.Cli.Streams;

/// <summary>
/// Text to an inherited descriptor by write(2). Not System.Console, whose set-up installs a SIGCHLD handler that would take ptrace
/// stops from the engine. Not FileStream either: on a regular file it writes by pwrite at an offset of its own and leaves the
/// shared offset where it was, so that the output of whoever writes there next (the restarted program) would land on top of ours.
/// </summary>
/// <param name="isError">The error stream: written line by line, and nobody is left to be told when that fails.</param>
internal sealed class DescriptorWriter(int descriptor, bool isError) : TextWriter
{
    private const int BufferCharacters = 8 * 1024;
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false);

    private readonly StringBuilder _pending = new();
    private bool _failed;

    public override Encoding Encoding => Utf8;

    public override void Write(char value)
    {
        _pending.Append(value);
        if (_pending.Length >= BufferCharacters || (isError && value == '\n')) Flush();
    }

    public override void Write(string? value) => Write(value.AsSpan());

    public override void Write(char[] buffer, int index, int count) => Write(buffer.AsSpan(index, count));

    public override void Write(ReadOnlySpan<char> buffer)
    {
        _pending.Append(buffer);
        if (_pending.Length >= BufferCharacters || (isError && buffer.Contains('\n'))) Flush();
    }

    public override void WriteLine(string? value)
    {
        _pending.Append(value);
        Write('\n');
    }

    /// <summary>
    /// Throws IOException the first time that something can't be written; from then on text is dropped. A reader who has gone
    /// (EPIPE) wants no more, which is no failure.
    /// </summary>
    public override void Flush()
    {
        byte[] bytes = Utf8.GetBytes(_pending.ToString());
        _pending.Clear();
        if (_failed) return;
        Errno failure = WriteAll(bytes);
        if (failure == Errno.None) return;
        _failed = true;
        if (failure != Errno.EPIPE && !isError) throw new IOException($"descriptor {descriptor} could not be written: {ErrnoWords.Of(failure)}");
    }

    private Errno WriteAll(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            SysResult written = Files.Write(descriptor, bytes);
            if (written.Errno == Errno.EAGAIN) Thread.Sleep(1); // somebody else made the shared terminal or pipe non-blocking
            else if (written.Failed) return written.Errno;
            else bytes = bytes[(int)written.Value..];
        }
        return Errno.None;
    }
}
