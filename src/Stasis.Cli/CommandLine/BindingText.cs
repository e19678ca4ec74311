using System.CommandLine.Parsing;
using System.Globalization;
using Stasis.Engine;
using Stasis.Engine.Restart;
using Stasis.Linux;

namespace Stasis.Cli.CommandLine;

/// <summary>The bindings of --bind and --bind-file.</summary>
internal static class BindingText
{
    private const int LongestFile = 1 << 20;

    public static Binding[] Parse(ArgumentResult result) => Read(result.Tokens.Select(token => token.Value), result);

    public static Binding[] ParseFile(ArgumentResult result)
    {
        List<string> lines = [];
        foreach (Token token in result.Tokens)
        {
            (SysResult read, byte[] bytes) = Files.ReadAll(token.Value, LongestFile);
            if (read.Failed)
            {
                result.AddError($"{token.Value} can't be read ({read.Errno})");
                return [];
            }
            lines.AddRange(Binding.Lines(System.Text.Encoding.UTF8.GetString(bytes)));
        }
        return Read(lines, result);
    }

    private static Binding[] Read(IEnumerable<string> texts, ArgumentResult result)
    {
        List<Binding> bindings = [];
        foreach (string text in texts)
        {
            if (Binding.Parse(text, out string why) is { } binding) bindings.Add(binding);
            else result.AddError(why);
        }
        return [.. bindings];
    }
}

/// <summary>PID/NUMBER of --external.</summary>
internal static class ExternalText
{
    public static ExternalDescriptor[] Parse(ArgumentResult result)
    {
        List<ExternalDescriptor> named = [];
        foreach (Token token in result.Tokens)
        {
            string[] parts = token.Value.Split('/');
            if (parts.Length == 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int pid) && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int number))
                named.Add(new ExternalDescriptor(pid, number));
            else result.AddError($"--external takes PID/NUMBER, a process and one of its descriptors, not '{token.Value}'");
        }
        return [.. named];
    }
}
