using Stasis.Cli.Text;
using Stasis.Engine;

namespace Stasis.Cli.Streams;

/// <summary>
/// One line at the bottom of a terminal: stage, bar, bytes, rate. Dispose takes it away again. Called from worker threads while the
/// target is frozen, so it never waits: a busy line is skipped, and so is a terminal that would not take the write.
/// </summary>
internal sealed class TerminalProgress(Terminal terminal, TextWriter error, string journey) : IProgress, IDisposable
{
    private const long RedrawMilliseconds = 100;
    private const long MeaningfulRateMilliseconds = 500;
    private const int BarCharacters = 16;
    private const string BackAndErase = "\r\x1b[K";

    private readonly Lock _line = new();
    private string _stage = "";
    private long _stageBegan = Environment.TickCount64;
    private long _lastDrawn;
    private bool _shown;
    private bool _over;

    public void Stage(string name)
    {
        if (!_line.TryEnter()) return;
        try
        {
            _stage = name;
            _stageBegan = Environment.TickCount64;
            Draw(Line(journey, name, terminal.Columns));
        }
        finally { _line.Exit(); }
    }

    public void Bytes(long done, long total)
    {
        long now = Environment.TickCount64;
        if (now - Volatile.Read(ref _lastDrawn) < RedrawMilliseconds || !_line.TryEnter()) return;
        try
        {
            Draw(Line(journey, _stage, done, total, now - _stageBegan, terminal.Columns));
        }
        finally { _line.Exit(); }
    }

    public void Dispose()
    {
        lock (_line)
        {
            if (_shown && terminal.TakesWritesNow) Show(BackAndErase);
            // Once: the next time the line would be the program's own.
            _shown = false;
            _over = true;
        }
    }

    /// <summary>The line for a stage without a count, cut to the terminal.</summary>
    internal static string Line(string journey, string stage, int columns) => Cut($"{journey}: {stage}", columns);

    /// <summary>The line for bytes on their way. Totals may be unknown (0) or passed (a target that grew meanwhile).</summary>
    internal static string Line(string journey, string stage, long done, long total, long milliseconds, int columns)
    {
        string amount = Quantity.Bytes(done);
        string bar = "";
        if (total > 0)
        {
            double part = Math.Clamp((double)done / total, 0, 1);
            int filled = (int)(part * BarCharacters);
            bar = $" [{new string('#', filled)}{new string('.', BarCharacters - filled)}] {(int)(part * 100),3} %";
            amount = $"{amount} of {Quantity.Bytes(total)}";
        }
        string line = $"{journey}: {stage}{bar}  {amount}";
        string rate = milliseconds >= MeaningfulRateMilliseconds ? $"  {Quantity.Bytes(done * 1000 / milliseconds)}/s" : "";
        return Cut(line.Length + rate.Length < columns ? line + rate : line, columns);
    }

    // The last column stays free: some terminals wrap when it is written, and then \r would no longer reach the line's start.
    private static string Cut(string line, int columns) => line.Length < columns ? line : line[..Math.Max(0, columns - 1)];

    private void Draw(string line)
    {
        if (_over || !terminal.TakesWritesNow) return;
        Volatile.Write(ref _lastDrawn, Environment.TickCount64);
        Show(BackAndErase + line);
        _shown = true;
    }

    private void Show(string text)
    {
        error.Write(text);
        error.Flush();
    }
}
