using System.Text.Json.Nodes;
using Stasis.Image;

namespace Stasis.UnitTests.Image;

public sealed class ImageReaderTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public ImageReaderTests() => ImageSeal.Write(_directory.Path, new Dictionary<string, byte[]> { ["a.json"] = "{}"u8.ToArray(), ["content/1"] = [1, 2, 3], ["empty"] = [] });
    public void Dispose() => _directory.Dispose();

    private ImageReader Open() => new(_directory.Path);
    // For its own sake, not for the manifest's hash.
    private string Refused()
    {
        ImageSeal.Sum(_directory.Path);
        string message = Assert.Throws<BadImage>(() => Open()).Message;
        Assert.DoesNotContain("not what was written", message, StringComparison.Ordinal);
        return message;
    }

    [Theory]
    [InlineData("")]
    [InlineData("00000000000000000000000000000000\n")]
    [InlineData("nonsense that is longer than any hash could ever be, whatever the algorithm and the encoding")]
    public void A_manifest_that_is_not_that_of_its_hash_is_refused(string sum)
    {
        File.WriteAllText(_directory["manifest.sum"], sum);
        Assert.Contains("hash differs", Assert.Throws<BadImage>(() => Open()).Message, StringComparison.Ordinal);
        File.Delete(_directory["manifest.sum"]);
        Assert.Throws<BadImage>(() => Open());
    }
    private string RefusedAs(Action<JsonObject> edit)
    {
        ImageSeal.EditManifest(_directory.Path, edit);
        return Refused();
    }

    [Fact]
    public void What_was_written_is_read()
    {
        ImageReader reader = Open();
        Assert.Equal([1, 2, 3], reader.ReadBytes("content/1"));
        Assert.Equal([1, 2, 3], reader.ReadStored("1"));
        Assert.Empty(reader.ReadBytes("empty"));
        Assert.True(reader.Has("a.json") && !reader.Has("b.json") && !reader.Has("manifest.json"));
    }

    [Fact]
    public void What_the_manifest_does_not_list_is_not_read()
    {
        File.WriteAllText(_directory["extra"], "x");
        ImageReader reader = Open();
        Assert.Throws<BadImage>(() => reader.ReadBytes("extra"));
        Assert.Throws<BadImage>(() => reader.LengthOf("extra"));
        Assert.Throws<BadImage>(() => reader.ReadStored("../a.json"));
    }

    [Theory]
    [InlineData("../a.json")]
    [InlineData("content/../a.json")]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("./a.json")]
    [InlineData("/etc/passwd")]
    [InlineData("/")]
    [InlineData("")]
    [InlineData("content/")]
    [InlineData("content//1")]
    [InlineData("content/a/b")]
    [InlineData(".hidden")]
    [InlineData("a\0.json")]
    [InlineData("a json")]
    [InlineData("ä.json")]
    [InlineData("a\\b")]
    [InlineData("content")]
    [InlineData("missing")]
    [InlineData("a.json/x")]
    public void A_name_that_no_writer_writes_is_refused(string name) => RefusedAs(manifest => manifest["files"]![0]!["name"] = name);

    [Fact]
    public void A_name_as_long_as_a_book_is_refused() => RefusedAs(manifest => manifest["files"]![0]!["name"] = new string('a', 100_000));

    [Fact]
    public void A_name_given_twice_is_refused() => Assert.Contains("twice", RefusedAs(manifest => manifest["files"]!.AsArray().Add(manifest["files"]![0]!.DeepClone())), StringComparison.Ordinal);

    [Theory]
    [InlineData(-1)]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(long.MaxValue)]
    [InlineData(long.MinValue)]
    public void A_length_that_is_not_the_file_s_is_refused(long length) => RefusedAs(manifest => manifest["files"]![0]!["length"] = length);

    [Theory]
    [InlineData("")]
    [InlineData("00000000000000000000000000000000")]
    [InlineData("nonsense")]
    public void A_hash_that_is_not_the_file_s_is_refused_when_it_is_read(string hash)
    {
        ImageSeal.EditManifest(_directory.Path, manifest => manifest["files"]![0]!["hash"] = hash);
        Assert.Contains("hash differs", Assert.Throws<BadImage>(() => Open().ReadBytes("a.json")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_changed_byte_is_refused_when_it_is_read()
    {
        File.WriteAllBytes(_directory["content/1"], [1, 2, 4]);
        Assert.Throws<BadImage>(() => Open().ReadStored("1"));
    }

    [Theory]
    [InlineData("0")]
    [InlineData("1")]
    [InlineData("-1")]
    [InlineData("1.5")]
    [InlineData("1e400")]
    [InlineData("4294967298")]
    [InlineData("null")]
    [InlineData("\"2\"")]
    [InlineData("[2]")]
    public void Another_format_is_refused(string format) => RefusedAs(manifest => manifest["format"] = JsonNode.Parse(format));

    [Fact]
    public void The_format_is_looked_at_before_anything_else() => Assert.Contains("image format 7", RefusedAs(manifest =>
    {
        manifest["format"] = 7;
        manifest["files"] = "something new";
    }), StringComparison.Ordinal);

    [Theory]
    [InlineData("tool")]
    [InlineData("files")]
    [InlineData("bootId")]
    [InlineData("format")]
    [InlineData("extendedStateLength")]
    [InlineData("extendedPlaces")]
    public void A_field_that_lacks_is_refused(string field) => RefusedAs(manifest => manifest.Remove(field));

    [Theory]
    [InlineData("tool")]
    [InlineData("files")]
    [InlineData("bootId")]
    [InlineData("extendedStates")]
    [InlineData("extendedPlaces")]
    public void A_null_is_refused(string field) => RefusedAs(manifest => manifest[field] = null);

    [Theory]
    [InlineData("[null]")]
    [InlineData("[{}]")]
    [InlineData("[{\"name\":null,\"length\":0,\"hash\":\"\"}]")]
    [InlineData("[{\"length\":0,\"hash\":\"\"}]")]
    [InlineData("[{\"name\":\"empty\",\"length\":0,\"hash\":null}]")]
    [InlineData("[{\"name\":\"empty\",\"length\":99999999999999999999,\"hash\":\"\"}]")]
    [InlineData("[{\"name\":\"empty\",\"length\":0,\"hash\":\"\",\"more\":1}]")]
    [InlineData("[[]]")]
    [InlineData("{}")]
    [InlineData("7")]
    public void A_list_of_files_that_is_none_is_refused(string files) => RefusedAs(manifest => manifest["files"] = JsonNode.Parse(files));

    [Fact]
    public void A_field_that_this_version_does_not_know_is_refused() => RefusedAs(manifest => manifest["future"] = 1);

    [Fact]
    public void A_list_of_too_many_files_is_refused()
    {
        string text = File.ReadAllText(_directory["manifest.json"]);
        var root = (JsonObject)JsonNode.Parse(text)!;
        root["files"] = new JsonArray();
        File.WriteAllText(_directory["manifest.json"], root.ToJsonString().Replace("\"files\":[]", $"\"files\":[{string.Join(',', Enumerable.Repeat("null", 1_000_001))}]", StringComparison.Ordinal));
        Assert.Contains("too many", Refused(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("7")]
    [InlineData("{}{}")]
    [InlineData("{\"format\":1}")]
    [InlineData("\u0000\u0001")]
    public void What_is_no_manifest_is_refused(string text)
    {
        File.WriteAllText(_directory["manifest.json"], text);
        Refused();
    }

    [Fact]
    public void Nesting_without_end_is_refused()
    {
        File.WriteAllText(_directory["manifest.json"], new string('[', 1_000_000));
        Refused();
    }

    [Fact]
    public void Bytes_that_are_not_UTF8_are_refused()
    {
        File.WriteAllBytes(_directory["manifest.json"], [(byte)'{', (byte)'"', 0xff, 0xfe, (byte)'"', (byte)':', (byte)'1', (byte)'}']);
        Refused();
    }

    [Fact]
    public void Every_cut_of_the_manifest_is_refused()
    {
        byte[] bytes = File.ReadAllBytes(_directory["manifest.json"]);
        for (int length = 0; length < bytes.Length; length += 7)
        {
            File.WriteAllBytes(_directory["manifest.json"], bytes[..length]);
            Refused();
        }
    }

    [Fact]
    public void A_link_in_the_place_of_a_file_is_refused()
    {
        File.Delete(_directory["empty"]);
        File.CreateSymbolicLink(_directory["empty"], "/dev/null");
        Refused();
    }

    [Fact]
    public void A_link_in_the_place_of_the_manifest_is_refused()
    {
        File.Move(_directory["manifest.json"], _directory["other"]);
        File.CreateSymbolicLink(_directory["manifest.json"], _directory["other"]);
        Refused();
    }

    [Fact]
    public void A_directory_without_a_manifest_is_no_image()
    {
        File.Delete(_directory["manifest.json"]);
        Assert.Contains("no manifest.json", Refused(), StringComparison.Ordinal);
        Assert.Contains("there is no image", Assert.Throws<BadImage>(() => new ImageReader(_directory["nowhere"])).Message, StringComparison.Ordinal);
    }
}
