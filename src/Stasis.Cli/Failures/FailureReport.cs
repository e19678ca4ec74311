using Stasis.Cli.Json;
using Stasis.Cli.Streams;
using Stasis.Cli.Text;
using Stasis.State;

namespace Stasis.Cli.Failures;

/// <summary>Tells people (on the error stream) or programs (as JSON on the output) why a command ended, and gives its exit code.</summary>
internal static class FailureReport
{
    /// <summary>Runs a command's work. Whatever goes wrong in it becomes a report; no stack trace reaches the user unasked.</summary>
    public static int Guard(CommandContext context, Func<int> work)
    {
        try
        {
            int code = work();
            context.Output.Flush();
            return code;
        }
        catch (Exception exception)
        {
            return Tell(context, Failure.Of(exception), exception);
        }
    }

    /// <summary>
    /// Tells the result of something that has been done. A full disk behind the output takes nothing back from it, so that is told
    /// beside it and changes no exit code.
    /// </summary>
    public static void TellDone(CommandContext context, Action tell)
    {
        try
        {
            tell();
            context.Output.Flush();
        }
        catch (IOException lost)
        {
            context.Error.WriteLine($"stasis: it is done, but could not be told: {lost.Message}.");
        }
    }

    public static int Tell(CommandContext context, Failure failure, Exception? exception = null)
    {
        if (!context.Json || !WriteJson(context.Output, failure)) WriteText(context.Error, failure);
        if (context.Trace && exception is not null) context.Error.WriteLine(exception.ToString());
        context.Error.Flush();
        return failure.ExitCode;
    }

    /// <summary>False when the output doesn't take it; then the error stream is left.</summary>
    private static bool WriteJson(TextWriter output, Failure failure)
    {
        try
        {
            CliJson.Write(output, new ErrorDocument(new ErrorBody(failure.Kind, failure.Message, failure.Problems)), CliJson.Readable.ErrorDocument);
            return true;
        }
        catch (IOException) { return false; }
    }

    private static void WriteText(TextWriter error, Failure failure)
    {
        if (failure.Problems.Count == 0)
        {
            error.WriteLine($"stasis: {Sentence(failure.Message)}");
            return;
        }
        error.WriteLine($"stasis: {Printable.Of(failure.Message)}: {Quantity.Problems(failure.Problems.Count)}; nothing was touched.");
        WriteProblems(error, failure.Problems);
    }

    /// <summary>A numbered list: whose and what, why, what to do. What is wrong with several objects of a process in the same way is said once.</summary>
    public static void WriteProblems(TextWriter output, IReadOnlyList<Problem> problems)
    {
        int number = 0;
        foreach (IGrouping<Problem, Problem> alike in problems.GroupBy(problem => problem with { Object = "" }))
        {
            Problem problem = alike.Key;
            string begin = $"{++number,3}. ";
            string indent = new(' ', begin.Length);
            string whose = problem.Pid == 0 ? "this host" : $"{Printable.Of(problem.Command)} (pid {problem.Pid})";
            string[] objects = [.. alike.Select(one => Printable.Of(one.Object)).Where(text => text.Length > 0)];
            output.WriteLine();
            output.WriteLine(objects is [var single] ? $"{begin}{whose}, {single}" : begin + whose);
            if (objects.Length > 1) foreach (string one in objects) output.WriteLine($"{indent}  {one}");
            if (problem.Why.Length > 0) output.WriteLine($"{indent}Why: {Sentence(problem.Why)}");
            if (problem.Advice.Length > 0) output.WriteLine($"{indent}What to do: {Sentence(problem.Advice)}");
        }
    }

    private static string Sentence(string text) => text.EndsWith('.') || text.EndsWith('?') ? Printable.Of(text) : Printable.Of(text) + ".";
}
