using System.CommandLine;
using System.CommandLine.Invocation;
using Stasis.Cli.Streams;
using Stasis.Engine;

namespace Stasis.Cli.CommandLine;

/// <summary>`--version` beside other options; alone it has a faster way in <see cref="Program"/>.</summary>
internal sealed class VersionWriter(CommandContext context) : SynchronousCommandLineAction
{
    public const string Line = $"stasis {StasisEngine.Version}";

    public override int Invoke(ParseResult parseResult)
    {
        context.Output.WriteLine(Line);
        context.Output.Flush();
        return ExitCode.Done;
    }
}
