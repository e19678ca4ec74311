using System.Globalization;
using System.Text;
using Stasis.Linux;

namespace Stasis.UnitTests.Abi;

/// <summary>A fact that needs the C compiler and is skipped, with the reason, where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class CompilerFactAttribute : FactAttribute
{
    public CompilerFactAttribute()
    {
        if (CCompiler.Path is null) Skip = "there is no gcc or cc here to compare our layouts with";
    }
}

/// <summary>Compiles small C programs that print numbers: sizes and offsets as the C compiler has them.</summary>
internal static class CCompiler
{
    public static readonly string? Path = ((string[])["/usr/bin/gcc", "/usr/bin/cc", "/usr/local/bin/gcc"]).FirstOrDefault(File.Exists);

    /// <summary>The value of each expression. One that is only there with a macro of newer headers is left out: "MACRO?expression".</summary>
    public static Dictionary<string, long> Values(string[] headers, params string[] expressions)
    {
        string directory = Directory.CreateTempSubdirectory("stasis-abi-").FullName;
        try
        {
            File.WriteAllText($"{directory}/print.c", Program(headers, expressions));
            string script = $"cd '{directory}' && {Path} -w -o print print.c >errors 2>&1 && ./print >values";
            int pid = Spawn.Start("/bin/sh", ["sh", "-c", script], ["PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C"]).OrThrowDescriptor("posix_spawn of sh");
            (SysResult result, WaitStatus? status) = Wait.For(pid, TimeSpan.FromSeconds(60));
            result.OrThrow("wait4 for the compiler");
            Assert.True(status is { Exited: true, ExitCode: 0 }, File.ReadAllText($"{directory}/errors"));
            return File.ReadAllLines($"{directory}/values").Select(line => line.Split('\t')).ToDictionary(parts => parts[0], parts => long.Parse(parts[1], CultureInfo.InvariantCulture));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static string Program(string[] headers, string[] expressions)
    {
        var text = new StringBuilder("#define _GNU_SOURCE\n#include <stddef.h>\n");
        foreach (string header in headers) text.Append(CultureInfo.InvariantCulture, $"#include <{header}>\n");
        text.Append("int printf(const char *, ...);\nint main(void)\n{\n");
        foreach (string entry in expressions)
        {
            int question = entry.IndexOf('?', StringComparison.Ordinal);
            string expression = entry[(question + 1)..];
            if (question >= 0) text.Append(CultureInfo.InvariantCulture, $"#ifdef {entry[..question]}\n");
            text.Append(CultureInfo.InvariantCulture, $"    printf(\"%s\\t%lld\\n\", \"{expression}\", (long long)({expression}));\n");
            if (question >= 0) text.Append("#endif\n");
        }
        return text.Append("    return 0;\n}\n").ToString();
    }
}
