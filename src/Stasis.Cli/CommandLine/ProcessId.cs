using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Stasis.Cli.CommandLine;

/// <summary>The argument PID.</summary>
internal static class ProcessId
{
    private const int PID_MAX_LIMIT = 4 * 1024 * 1024; // include/linux/threads.h

    public static Argument<int> Argument(string description) => new("PID") { Description = description, CustomParser = Parse };

    private static int Parse(ArgumentResult result)
    {
        string text = result.Tokens is [var token] ? token.Value : "";
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int pid) && pid is > 0 and <= PID_MAX_LIMIT) return pid;
        result.AddError($"'{text}' is not a process id");
        return 0;
    }
}
