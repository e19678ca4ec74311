using System.Text.Json;
using System.Text.Json.Nodes;
using Stasis.Image;
using Stasis.Linux;

namespace Stasis.UnitTests.Image;

/// <summary>Writes the files of an image with a manifest that has their true lengths and hashes; nothing else of them need be true.</summary>
internal static class ImageSeal
{
    public static readonly Manifest Manifest = new()
    {
        Format = Manifest.CurrentFormat,
        Tool = "test",
        Created = "2026-01-01T00:00:00Z",
        KernelRelease = "6.18",
        Machine = "x86_64",
        BootId = "boot",
        ExtendedStates = 7,
        ExtendedStateLength = 832,
        ExtendedPlaces = [new ExtendedPlace(2, 576, 256)],
        VdsoHash = "",
        MonotonicNanoseconds = 1,
        BoottimeNanoseconds = 1,
        RealtimeNanoseconds = 1,
        Files = [],
    };

    public static void Write(string directory, IReadOnlyDictionary<string, byte[]> files, Func<ImageFile[], ImageFile[]>? change = null)
    {
        List<ImageFile> entries = [];
        foreach ((string name, byte[] bytes) in files)
        {
            string path = Path.Combine(directory, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(path, bytes);
            entries.Add(new ImageFile(name, bytes.Length, ContentHash.Of(bytes)));
        }
        Manifest manifest = Manifest with { Files = change is null ? [.. entries] : change([.. entries]) };
        File.WriteAllBytes(Path.Combine(directory, "manifest.json"), JsonSerializer.SerializeToUtf8Bytes(manifest, ManifestJson.Default.Manifest));
        Sum(directory);
    }

    /// <summary>The true hash of the manifest as it lies there.</summary>
    public static void Sum(string directory)
    {
        string path = Path.Combine(directory, "manifest.json");
        if (File.Exists(path)) File.WriteAllText(Path.Combine(directory, "manifest.sum"), ContentHash.Of(File.ReadAllBytes(path)) + "\n");
    }

    /// <summary>Changes the manifest as text.</summary>
    public static void EditManifest(string directory, Action<JsonObject> edit)
    {
        string path = Path.Combine(directory, "manifest.json");
        var root = (JsonObject)JsonNode.Parse(File.ReadAllText(path))!;
        edit(root);
        File.WriteAllText(path, root.ToJsonString());
        Sum(directory);
    }
}
