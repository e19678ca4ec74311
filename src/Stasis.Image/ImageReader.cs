using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Stasis.Linux;

namespace Stasis.Image;

/// <summary>Reads an image and trusts nothing in it: names, lengths and hashes are checked before a byte is used. Errors: <see cref="BadImage"/>.</summary>
public sealed class ImageReader
{
    private const int MaxRecordLength = 512 * 1024 * 1024;
    private const int MaxFiles = 1_000_000;
    private readonly Dictionary<string, ImageFile> _files = new(StringComparer.Ordinal);

    public ImageReader(string directory)
    {
        Directory = System.IO.Path.GetFullPath(directory);
        if (Files.Status($"{Directory}/manifest.json", followLinks: false) is { Result.Failed: false, Status.Type: not FileType.Regular })
            throw new BadImage($"{directory} is not an image: its manifest.json is not a file");
        (SysResult result, byte[] bytes) = Files.ReadAll($"{Directory}/manifest.json", MaxRecordLength);
        if (result.Errno is Errno.ENOENT or Errno.ENOTDIR)
            throw new BadImage(Files.Status(Directory).Result.Failed ? $"there is no image at {directory}" : $"{directory} is not an image: it has no manifest.json");
        if (result.Failed) throw new BadImage($"the manifest of {directory} can't be read: {result.Errno}");
        CheckFormat(bytes, directory);
        (SysResult sumResult, byte[] sum) = IsFile($"{Directory}/manifest.sum") ? Files.ReadAll($"{Directory}/manifest.sum", 64) : (SysResult.Error(Errno.ENOENT), []);
        if (sumResult.Failed || System.Text.Encoding.ASCII.GetString(sum) != ContentHash.Of(bytes) + "\n")
            throw new BadImage($"the manifest of {directory} is not what was written: its hash differs");
        Manifest = Deserialize("manifest.json", bytes, ManifestJson.Default.Manifest);
        if (Manifest.Files.Length > MaxFiles) throw new BadImage($"the manifest of {directory} lists too many files");
        foreach (ImageFile file in Manifest.Files)
        {
            if (file is null) throw new BadImage($"the manifest of {directory} lists a file that is none");
            if (!IsSafeName(file.Name)) throw new BadImage($"the manifest of {directory} names a file outside of the image");
            if (!_files.TryAdd(file.Name, file)) throw new BadImage($"the manifest of {directory} names {file.Name} twice");
            (SysResult status, FileStatus found) = Files.Status($"{Directory}/{file.Name}", followLinks: false);
            if (status.Failed || found.Type != FileType.Regular) throw new BadImage($"{file.Name} is missing from the image {directory}");
            if (found.Size != file.Length) throw new BadImage($"{file.Name} of the image {directory} has {found.Size} bytes, not {file.Length}: it was cut or changed");
        }
    }

    private static bool IsFile(string path) => Files.Status(path, followLinks: false) is { Result.Failed: false, Status.Type: FileType.Regular };

    public string Directory { get; }
    public Manifest Manifest { get; }
    public bool Has(string name) => _files.ContainsKey(name);
    public string PathOf(string name) => Has(name) ? $"{Directory}/{name}" : throw new BadImage($"{name} is missing from the image {Directory}");
    public long LengthOf(string name) => _files.TryGetValue(name, out ImageFile? file) ? file.Length : throw new BadImage($"{name} is missing from the image {Directory}");

    // The version is looked at before anything else: a reader of another version may not know the fields.
    private static void CheckFormat(byte[] bytes, string directory)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(bytes);
            if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("format", out JsonElement format) || !format.TryGetInt32(out int version))
                throw new BadImage($"the manifest of {directory} has no format version");
            if (version != Manifest.CurrentFormat)
                throw new BadImage($"{directory} has image format {version}, this stasis reads {Manifest.CurrentFormat}: use a stasis that knows it");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw new BadImage($"the manifest of {directory} is broken");
        }
    }

    // A name of letters, digits, '.', '-', '_', and at most one '/': never absolute, never upwards.
    private static bool IsSafeName(string name) => name.Length is > 0 and < 256 && name.Count(c => c == '/') <= 1 && name[0] is not ('/' or '.') && name[^1] != '/'
        && !name.Contains("..", StringComparison.Ordinal) && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_' or '/');

    public T ReadJson<T>(string name, JsonTypeInfo<T> type) => Deserialize(name, ReadBytes(name), type);

    public byte[] ReadBytes(string name)
    {
        (SysResult result, byte[] bytes) = Files.ReadAll(PathOf(name), MaxRecordLength);
        if (result.Failed) throw new BadImage($"{name} can't be read: {result.Errno}");
        if (ContentHash.Of(bytes) != _files[name].Hash) throw new BadImage($"{name} of the image {Directory} is not what was written: its hash differs");
        return bytes;
    }

    /// <summary>A small stored content (of a pipe, of a socket's queue), whole.</summary>
    public byte[] ReadStored(string name) => ReadBytes($"content/{name}");

    private static T Deserialize<T>(string name, byte[] bytes, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(bytes, type) ?? throw new BadImage($"{name} is empty");
        }
        catch (Exception error) when (error is JsonException or NotSupportedException or InvalidOperationException or FormatException)
        {
            throw new BadImage(error is JsonException { Path.Length: > 0 } at ? $"{name} is broken at {at.Path}" : $"{name} is broken");
        }
    }

    /// <summary>Writes a stored file into a descriptor of ours, holes kept, and verifies its hash on the way.</summary>
    public void CopyTo(string name, int target)
    {
        using var source = new DescriptorHandle(Files.Open(PathOf(name), OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of {name}"));
        Files.Truncate(target, LengthOf(name)).OrThrow($"setting a size for {name}");
        var hash = new ContentHash();
        SparseCopy.Run(source.Number, target, LengthOf(name), hash);
        if (hash.Finish() != _files[name].Hash) throw new BadImage($"{name} of the image {Directory} is not what was written: its hash differs");
    }
}
