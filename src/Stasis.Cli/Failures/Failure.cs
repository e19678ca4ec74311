using Stasis.Engine;
using Stasis.Image;
using Stasis.Linux;
using Stasis.State;

namespace Stasis.Cli.Failures;

/// <summary>Why a command ended without its result, as the user hears it: an exit code, its name in JSON, one sentence, the problems.</summary>
internal sealed record Failure(int ExitCode, string Kind, string Message, IReadOnlyList<Problem> Problems)
{
    public static Failure Usage(string message) => new(Cli.ExitCode.Usage, "usage", message, []);

    /// <summary>Every exception there is. What the engine throws on purpose has its own kind; the rest is a failure of the run.</summary>
    public static Failure Of(Exception exception) => exception switch
    {
        Refused refused => new(Cli.ExitCode.Refused, "refused", refused.What, refused.Problems),
        StasisFailure { Kind: FailureKind.NotPermitted } failure => new(Cli.ExitCode.NotPermitted, "notPermitted", failure.Message, []),
        StasisFailure { Kind: FailureKind.BadImage } failure => new(Cli.ExitCode.BadImage, "badImage", failure.Message, []),
        StasisFailure failure => Failed(failure.Message),
        BadImage bad => new(Cli.ExitCode.BadImage, "badImage", bad.Message, []),
        KernelRefusal { Errno: Errno.EPERM or Errno.EACCES } refusal => new(Cli.ExitCode.NotPermitted, "notPermitted", InWords(refusal), []),
        KernelRefusal refusal => Failed(InWords(refusal)),
        AggregateException { InnerExceptions: [var first, ..] } => Of(first),
        // getcwd(2); it names no file.
        FileNotFoundException { FileName: null } => Failed("the directory that stasis was started in has been removed; change to one that exists"),
        IOException or UnauthorizedAccessException => Failed(exception.Message),
        OutOfMemoryException => Failed("there is not enough memory for this"),
        _ => Failed($"a mistake in stasis itself: {exception.Message.TrimEnd('.')}; please report it with what STASIS_TRACE=1 shows"),
    };

    private static string InWords(KernelRefusal refusal)
    {
        // The message ends with the bare name of the error; people get it in words.
        string name = refusal.Errno.ToString();
        return refusal.Message.EndsWith(name, StringComparison.Ordinal) ? refusal.Message[..^name.Length] + ErrnoWords.Of(refusal.Errno) : refusal.Message;
    }

    private static Failure Failed(string message) => new(Cli.ExitCode.Failed, "failed", message, []);
}
