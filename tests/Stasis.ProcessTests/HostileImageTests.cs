using System.IO.Hashing;
using System.Text.Json.Nodes;

namespace Stasis.ProcessTests;

/// <summary>
/// Values that no checkpoint writes, in records whose lengths and hashes are right. What such a value cannot harm may
/// start; anything else is code 65, 69 or 70 and a sentence: never a crash, a hang, or a rest of a process.
/// </summary>
public sealed class HostileImageTests
{
    private const int SampleSize = 12;

    private static readonly string[] Victims =
        ["unix_pairs", "posix_timers", "memory_files_in_memory", "inotify", "pidfds", "files_of_proc", "tcp_connections", "tcp_half_closed", "sysv_shared_memory", "sysv_semaphores"];

    // Sockets and packet filters are nobody's business outside.
    private const string Network = ". $tests/network/network.bash; own_network\n";

    /// <summary>Two kinds of victim, one value.</summary>
    [Fact]
    public void A_number_that_is_none_ends_in_a_sentence() => Spoiled("-1", Victims[..2], limitSeconds: 60);

    [Trait("tier", "long")]
    [Theory]
    [InlineData("-1")]
    [InlineData("0")]
    [InlineData("4294967296")]
    [InlineData("9223372036854775807")]
    [InlineData("18446744073709551615")]
    [InlineData("1e400")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("\"../../../../../../etc/passwd\"")]
    public void End_in_a_sentence(string value) => Spoiled(value, Victims, limitSeconds: 360);

    private static void Spoiled(string value, string[] victims, int limitSeconds)
    {
        string directory = Cage.NewDirectory("hostile");
        foreach (string victim in victims)
        {
            string workplace = Path.Combine(directory, victim);
            Directory.CreateDirectory(workplace);
            Cage.ScriptIn(workplace, $"{Network}start_victim {victim}; tool checkpoint $pid -o image --save-files; expect_code 0; await_end $pid 30");
            int count = Spoil(Path.Combine(workplace, "work"), value);
            Assert.True(count > 0, "the image has no records");
            Cage.ScriptIn(workplace, Network + Restarts, limitSeconds);
        }

        Directory.Delete(directory, recursive: true);
    }

    private const string Restarts = """
        for image in spoiled*; do
          [ -d $image ] || continue
          rm -f pid cwd/result cwd/verify cwd/ready
          STASIS_LIMIT=60
          tool restart $PWD/$image --detach --pid-file $PWD/pid --changed-files keep
          case $code in 0 | 65 | 69 | 70 | 77) ;; *) failed "$(cat $image.place): exit code $code" ;; esac
          expect_code $code
          if [ $code -eq 0 ]; then
            kill -KILL $(cat pid); await_end $(cat pid) 30 || failed "$(cat $image.place): it cannot be killed"
          fi
          # Descendants of what was killed, if any, are init's now.
          for process in /proc/[0-9]*; do
            pid=${process#/proc/}
            [ $pid -gt 1 ] && [ $pid -ne $BASHPID ] && kill -KILL $pid 2>/dev/null
          done
        done
        true
        """;

    // One image for each place in a sample over all values of all records; returns how many.
    private static int Spoil(string workplace, string value)
    {
        string image = Path.Combine(workplace, "image");
        List<(string File, string Path)> places = [];
        foreach (string file in Directory.GetFiles(image, "*.json", SearchOption.AllDirectories))
        {
            if (Path.GetFileName(file) != "manifest.json")
                Collect(JsonNode.Parse(File.ReadAllText(file)), "", path => places.Add((file, path)));
        }

        // The same sample each time, so that a failure can be repeated; another for each value.
        Random random = new((int)XxHash32.HashToUInt32(System.Text.Encoding.UTF8.GetBytes(value)));
        (string File, string Path)[] sample = [.. places.OrderBy(_ => random.Next()).Take(SampleSize)];
        for (int i = 0; i < sample.Length; i++)
        {
            string target = Path.Combine(workplace, $"spoiled{i}");
            EditedImage.Copy(image, target);
            string name = Path.GetRelativePath(image, sample[i].File);
            string place = sample[i].Path;
            EditedImage.Edit(target, name, root => Replace(root, place, value));
            File.WriteAllText(target + ".place", $"{name}{place} = {value}");
        }

        return sample.Length;
    }

    private static void Collect(JsonNode? node, string path, Action<string> found)
    {
        switch (node)
        {
            case JsonObject fields:
                foreach ((string name, JsonNode? child) in fields)
                    Collect(child, $"{path}/{name}", found);
                break;
            case JsonArray items:
                for (int i = 0; i < items.Count; i++)
                    Collect(items[i], $"{path}/{i}", found);
                break;
            case not null:
                found(path);
                break;
        }
    }

    private static void Replace(JsonNode root, string path, string value)
    {
        string[] steps = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        JsonNode node = root;
        foreach (string step in steps[..^1])
            node = node is JsonArray array ? array[int.Parse(step)]! : node[step]!;
        if (node is JsonArray last)
            last[int.Parse(steps[^1])] = JsonNode.Parse(value);
        else
            node[steps[^1]] = JsonNode.Parse(value);
    }
}
