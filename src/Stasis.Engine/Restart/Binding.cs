using System.Globalization;
using System.Net;

namespace Stasis.Engine.Restart;

/// <summary>What takes the place of something of the image at a restart; one for each --bind.</summary>
public abstract record Binding
{
    /// <summary>For people, in the usage.</summary>
    public const string Forms = "pty:OLD=NEW, file:/OLD=/NEW, address:OLD=NEW, fd:PROCESS/NUMBER=PATH or fd:PROCESS/NUMBER=fd:N";

    /// <summary>Reads one binding.</summary>
    /// <returns>null and why, when it is none.</returns>
    public static Binding? Parse(string text, out string why)
    {
        why = "";
        int colon = text.IndexOf(':'), equals = text.IndexOf('=');
        string kind = colon > 0 ? text[..colon] : "";
        if (colon < 0 || equals <= colon + 1 || equals == text.Length - 1)
        {
            why = $"a binding looks like {Forms}, not '{text}'";
            return null;
        }
        string old = text[(colon + 1)..equals], replacement = text[(equals + 1)..];
        Binding? binding = kind switch
        {
            "pty" => new TerminalBinding(old, replacement),
            "file" when old.StartsWith('/') && replacement.StartsWith('/') => new PathBinding(Clean(old), Clean(replacement)),
            "fd" => Descriptor(old, replacement),
            "address" when IPAddress.TryParse(old, out IPAddress? from) && IPAddress.TryParse(replacement, out IPAddress? to) && from.AddressFamily == to.AddressFamily => new AddressBinding(from, to),
            _ => null,
        };
        if (binding is null) why = $"a binding looks like {Forms}, not '{text}'";
        return binding;
    }

    /// <summary>The lines of a file of bindings, without comments (#) and empty ones.</summary>
    public static IEnumerable<string> Lines(string text) =>
        text.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0 && line[0] != '#');

    private static string Clean(string path) => path.Length > 1 ? path.TrimEnd('/') : path;

    private static DescriptorBinding? Descriptor(string whose, string target)
    {
        int slash = whose.LastIndexOf('/');
        if (slash < 1 || !int.TryParse(whose[(slash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int number)) return null;
        if (!target.StartsWith("fd:", StringComparison.Ordinal)) return new DescriptorBinding(whose[..slash], number, target, -1);
        return int.TryParse(target[3..], NumberStyles.None, CultureInfo.InvariantCulture, out int inherited) ? new DescriptorBinding(whose[..slash], number, "", inherited) : null;
    }
}

/// <summary>Everything at or below one path is found at another.</summary>
public sealed record PathBinding(string Old, string New) : Binding
{
    /// <returns>null when the path lies elsewhere.</returns>
    public string? Move(string path)
    {
        if (path == Old) return New;
        string below = Old == "/" ? "/" : Old + "/";
        return path.StartsWith(below, StringComparison.Ordinal) ? $"{(New == "/" ? "" : New)}/{path[below.Length..]}" : null;
    }
}

/// <summary>What had one internet address of the old host has another of this one.</summary>
public sealed record AddressBinding(IPAddress Old, IPAddress New) : Binding;

/// <summary>A terminal of another session ("/dev/pts/3") becomes this one.</summary>
public sealed record TerminalBinding(string Old, string New) : Binding;

/// <summary>A descriptor of a process (by its id in the image, or by its command name where only one has it) becomes a file that is opened, or a descriptor that we were started with.</summary>
public sealed record DescriptorBinding(string Process, int Number, string Path, int Inherited) : Binding;
