using System.Buffers.Binary;
using System.Text.Json.Nodes;

namespace Stasis.ProcessTests;

/// <summary>Images as if made on another CPU: where each part of its registers lies in memory is a CPU's own choice, and so is which parts it has.</summary>
public sealed class OtherCpuTests
{
    private const int Mxcsr = 24, Header = 512, FirstPlace = Header + 64, Unknown = 40;

    [Theory]
    [InlineData("registers_vector")]
    [InlineData("registers_tiles")]
    [InlineData("protection_keys")]
    public void Registers_that_lie_elsewhere_in_the_image_come_back(string victim)
    {
        string directory = Checkpointed(victim);
        string image = Path.Combine(directory, "work/image");
        (JsonNode[] before, JsonNode[] after, int length) = Scattered(image);
        EditThreads(image, area =>
        {
            byte[] moved = new byte[length];
            area.AsSpan(0, FirstPlace).CopyTo(moved);
            foreach ((JsonNode from, JsonNode to) in before.Zip(after))
                area.AsSpan((int)from["offset"]!, (int)from["length"]!).CopyTo(moved.AsSpan((int)to["offset"]!));
            return moved;
        });
        EditedImage.EditManifest(image, manifest =>
        {
            manifest["extendedStateLength"] = length;
            manifest["extendedPlaces"] = new JsonArray(after);
        });
        Cage.ScriptIn(directory, """
            tool restart image --detach --pid-file "$PWD/pid"
            expect_code 0
            pid=$(cat pid)
            verify_victim
            """);
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public void Registers_that_this_cpu_lacks_are_refused() => Refused($"xsave features {1ul << Unknown:x}", "does not have", 64, area =>
        BinaryPrimitives.WriteUInt64LittleEndian(area.AsSpan(Header), BinaryPrimitives.ReadUInt64LittleEndian(area.AsSpan(Header)) | 1ul << Unknown));

    [Fact]
    public void Modes_of_floating_point_that_this_cpu_lacks_are_refused() => Refused("bits of MXCSR", "does not have", 0, area =>
        BinaryPrimitives.WriteUInt32LittleEndian(area.AsSpan(Mxcsr), 1u << 31 | 0x1f80));

    // All problems at once, nothing started.
    private static void Refused(string which, string why, int room, Action<byte[]> spoil)
    {
        string directory = Checkpointed("registers_vector");
        string image = Path.Combine(directory, "work/image");
        EditThreads(image, area =>
        {
            Array.Resize(ref area, area.Length + room);
            spoil(area);
            return area;
        });
        EditedImage.EditManifest(image, manifest =>
        {
            int length = (int)manifest["extendedStateLength"]!;
            manifest["extendedStateLength"] = length + room;
            if (room > 0) manifest["extendedPlaces"]!.AsArray().Add(new JsonObject { ["component"] = Unknown, ["offset"] = length, ["length"] = room });
        });
        Cage.ScriptIn(directory, $"""
            tool restart image --detach
            expect_code 69
            expect_says '{which}'
            expect_says '{why}'
            [ "$(grep -cE '^ *thread [0-9]+$' errors)" -eq 4 ] || failed "it does not name all threads"
            expect_processes 1
            """);
        Directory.Delete(directory, recursive: true);
    }

    // With ids that are free in the cage of the restart, too.
    private static string Checkpointed(string victim)
    {
        string directory = Cage.NewDirectory($"cpu-{victim}");
        Cage.ScriptIn(directory, $"echo 3000 >/proc/sys/kernel/ns_last_pid; start_victim {victim}; tool checkpoint $pid -o image; expect_code 0; await_end $pid 30");
        return directory;
    }

    // The places in the opposite order, and none where it was.
    private static (JsonNode[] Before, JsonNode[] After, int Length) Scattered(string image)
    {
        JsonNode manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(image, "manifest.json")))!;
        JsonNode[] before = [.. manifest["extendedPlaces"]!.AsArray().OfType<JsonNode>().OrderByDescending(place => (int)place["offset"]!)];
        Assert.NotEmpty(before);
        int end = FirstPlace + 64;
        List<JsonNode> after = [];
        foreach (JsonNode place in before)
        {
            after.Add(new JsonObject { ["component"] = (int)place["component"]!, ["offset"] = end, ["length"] = (int)place["length"]! });
            end = (end + (int)place["length"]! + 63 + 64) & ~63;
        }

        return (before, [.. after], end);
    }

    private static void EditThreads(string image, Func<byte[], byte[]> edit) => EditedImage.Edit(image, "tree.json", tree =>
    {
        foreach (JsonNode thread in tree["processes"]!.AsArray().SelectMany(process => process!["threads"]!.AsArray()).OfType<JsonNode>())
            thread["extendedState"] = Convert.ToBase64String(edit(Convert.FromBase64String((string)thread["extendedState"]!)));
    });
}
