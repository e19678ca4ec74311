using System.Xml.Linq;

namespace Stasis.UnitTests;

public sealed class DependencyTests
{
    // From the bottom up, as in DESIGN.md; projects of one line do not know each other.
    private static readonly string[][] Layers =
    [
        ["Stasis.Linux"],
        ["Stasis.Remote", "Stasis.Image"],
        ["Stasis.State"],
        ["Stasis.Engine"],
        ["Stasis.Cli"],
    ];

    [Fact]
    public void Projects_depend_downward_only()
    {
        foreach (string file in Directory.GetFiles(Path.Combine(Home(), "src"), "*.csproj", SearchOption.AllDirectories))
        {
            string project = Path.GetFileNameWithoutExtension(file);
            int layer = LayerOf(project);
            foreach (XElement reference in XDocument.Load(file).Descendants("ProjectReference"))
            {
                string path = ((string?)reference.Attribute("Include") ?? "").Replace('\\', '/');
                string target = Path.GetFileNameWithoutExtension(path);
                Assert.True(LayerOf(target) < layer, $"{project} refers to {target}, which is not below it");
            }
        }
    }

    private static int LayerOf(string project)
    {
        int layer = Array.FindIndex(Layers, names => names.Contains(project));
        Assert.True(layer >= 0, $"{project} has no place in the list of layers of this test");
        return layer;
    }

    private static string Home()
    {
        DirectoryInfo? directory = new(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "Directory.Packages.props")))
            directory = directory.Parent;
        Assert.NotNull(directory);
        return directory.FullName;
    }
}
