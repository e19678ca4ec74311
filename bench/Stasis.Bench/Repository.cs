namespace Stasis.Bench;

/// <summary>Where things are in the checkout.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (var directory = AppContext.BaseDirectory; directory is not null; directory = Path.GetDirectoryName(directory))
        {
            if (File.Exists(Path.Combine(directory, "Directory.Packages.props"))) return directory;
        }

        throw new BenchException($"{AppContext.BaseDirectory} is not inside a checkout of Stasis");
    }
}
