using System.Globalization;

namespace Stasis.Bench;

/// <summary>What the command line asks for.</summary>
internal sealed record BenchOptions
{
    public const string Usage = """
        usage: Stasis.Bench [options]
          --stasis FILE       the binary to measure (out/stasis)
          --sizes LIST        memory of the program in MiB (1,256,2048)
          --places LIST       tmpfs,disk: where images are written (both)
          --rounds N          rounds for each line (by size: 15, 7, 3)
          --criu              also measure the criu that is installed, on the same program
          --only LIST         of memory,startup,tape (all)
        """;

    public string Stasis { get; private init; } = Path.Combine(Repository.Root, "out", "stasis");

    public IReadOnlyList<int> SizesInMebibytes { get; private init; } = [1, 256, 2048];

    public IReadOnlyList<string> Places { get; private init; } = ["tmpfs", "disk"];

    public int? Rounds { get; private init; }

    public bool Criu { get; private init; }

    public IReadOnlyList<string> Only { get; private init; } = ["startup", "tape", "memory"];

    /// <summary>Null when the arguments can't be understood.</summary>
    public static BenchOptions? Parse(IReadOnlyList<string> arguments)
    {
        var options = new BenchOptions();
        for (var i = 0; i < arguments.Count; i++)
        {
            if (arguments[i] == "--criu")
            {
                options = options with { Criu = true };
                continue;
            }

            if (i + 1 == arguments.Count) return null;
            var value = arguments[++i];
            switch (arguments[i - 1])
            {
                case "--stasis": options = options with { Stasis = Path.GetFullPath(value) }; break;
                case "--places": options = options with { Places = value.Split(',') }; break;
                case "--only": options = options with { Only = value.Split(',') }; break;
                case "--sizes" when Numbers(value) is { } sizes: options = options with { SizesInMebibytes = sizes }; break;
                case "--rounds" when Numbers(value) is [var rounds]: options = options with { Rounds = rounds }; break;
                default: return null;
            }
        }

        return options.Places.All(place => place is "tmpfs" or "disk") && options.Only.All(part => part is "memory" or "startup" or "tape")
            ? options
            : null;
    }

    public int RoundsFor(int mebibytes) => Rounds ?? (mebibytes <= 16 ? 15 : mebibytes <= 512 ? 7 : 3);

    private static int[]? Numbers(string list)
    {
        var numbers = new List<int>();
        foreach (var word in list.Split(','))
        {
            if (!int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number is 0 or > 1 << 20) return null;
            numbers.Add(number);
        }

        return [.. numbers];
    }
}
