using System.IO.Hashing;
using System.Text;
using System.Text.Json.Nodes;

namespace Stasis.ProcessTests;

/// <summary>Images with other values than a checkpoint wrote, whose lengths and hashes are right all the same.</summary>
internal static class EditedImage
{
    /// <summary>Puts other bytes in the place of one of its files.</summary>
    public static void Write(string image, string name, byte[] bytes)
    {
        File.WriteAllBytes(Path.Combine(image, name), bytes);
        EditManifest(image, manifest =>
        {
            JsonNode entry = manifest["files"]!.AsArray().First(file => (string?)file!["name"] == name)!;
            entry["length"] = bytes.Length;
            entry["hash"] = Convert.ToHexStringLower(XxHash128.Hash(bytes));
        });
    }

    /// <summary>Changes one of its records.</summary>
    public static void Edit(string image, string name, Action<JsonNode> edit)
    {
        JsonNode root = JsonNode.Parse(File.ReadAllText(Path.Combine(image, name)))!;
        edit(root);
        Write(image, name, Encoding.UTF8.GetBytes(root.ToJsonString()));
    }

    public static void EditManifest(string image, Action<JsonNode> edit)
    {
        string path = Path.Combine(image, "manifest.json");
        JsonNode root = JsonNode.Parse(File.ReadAllText(path))!;
        edit(root);
        File.WriteAllText(path, root.ToJsonString());
        File.WriteAllText(Path.Combine(image, "manifest.sum"), Convert.ToHexStringLower(XxHash128.Hash(File.ReadAllBytes(path))) + "\n");
    }

    public static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string directory in Directory.GetDirectories(from, "*", SearchOption.AllDirectories))
            Directory.CreateDirectory(Path.Combine(to, Path.GetRelativePath(from, directory)));
        foreach (string file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
            File.Copy(file, Path.Combine(to, Path.GetRelativePath(from, file)));
    }
}
