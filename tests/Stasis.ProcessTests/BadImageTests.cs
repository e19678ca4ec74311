namespace Stasis.ProcessTests;

/// <summary>An image is input from an enemy: whatever is wrong with it ends in code 65, a sentence, and nothing started.</summary>
public sealed class BadImageTests
{
    // Every script below finds a good image in ./image and spoils it; restart and show must then refuse it.
    private const string Before = """
        start_victim threads_tls
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        rm cwd/ready
        """;

    private const string After = """
        tool restart image --detach
        expect_code 65
        [ $(wc -l <errors) -le 3 ] || failed "it says more than a sentence"
        # What was killed may still be waiting for the cage's init to hear of it.
        await_end $pid 30 || failed "something was started"
        expect_processes 1
        """;

    private static void Spoil(string name, string how) => Cage.Script(name, $"{Before}\n{how}\n{After}");

    [Fact]
    public void Not_there() => Cage.Script("absent", "tool restart nowhere; expect_code 65; expect_says nowhere; tool show nowhere; expect_code 65");

    [Fact]
    public void Not_a_directory() => Cage.Script("file", "echo text >image; tool restart image; expect_code 65; tool show image; expect_code 65");

    [Fact]
    public void Empty_directory() => Cage.Script("empty", "mkdir image; tool restart image; expect_code 65; tool show image; expect_code 65");

    [Fact]
    public void Every_file_missing_once() => Cage.Script("missing", $$"""
        {{Before}}
        cp -a image whole
        for file in $(cd whole && find . -type f); do
          rm -rf image; cp -a whole image; rm image/$file
          {{After}}
        done
        """);

    [Fact]
    public void Every_file_cut_short_once() => Cage.Script("cut", $$"""
        {{Before}}
        cp -a image whole
        for file in $(cd whole && find . -type f -size +0); do
          for part in 0 2; do
            rm -rf image; cp -a whole image
            truncate -s $(($(stat -c %s image/$file) * part / 3)) image/$file
            echo "cut to $part/3: $file"
            {{After}}
          done
        done
        """);

    [Fact]
    public void Every_file_longer_once() => Cage.Script("longer", $$"""
        {{Before}}
        cp -a image whole
        for file in $(cd whole && find . -type f); do
          rm -rf image; cp -a whole image
          printf 'more' >>image/$file
          echo "longer: $file"
          {{After}}
        done
        """);

    [Fact]
    public void One_flipped_bit_in_every_file() => Cage.Script("flipped", $$"""
        {{Before}}
        cp -a image whole
        for file in $(cd whole && find . -type f -size +0); do
          for seed in 1 2 3; do
            rm -rf image; cp -a whole image
            python3 - image/$file $seed <<'TEXT'
        import random, sys
        data = bytearray(open(sys.argv[1], 'rb').read())
        random.seed(sys.argv[2] + sys.argv[1])
        at = random.randrange(len(data))
        data[at] ^= 1 << random.randrange(8)
        open(sys.argv[1], 'wb').write(data)
        print('bit flipped in', sys.argv[1], 'at', at)
        TEXT
            {{After}}
          done
        done
        """);

    [Theory]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("not json")]
    [InlineData("{\"format\":999999}")]
    public void A_manifest_that_is_none(string text) => Spoil("manifest", $"printf %s '{text}' >image/manifest.json");

    [Fact]
    public void A_manifest_nested_a_million_deep() =>
        Spoil("deep", "python3 -c 'print(\"[\" * 1000000)' >image/manifest.json");

    [Trait("tier", "long")]
    [Fact]
    public void A_manifest_of_a_gigabyte() =>
        Spoil("huge", "truncate -s 1G image/manifest.json");

    [Fact]
    public void A_fifo_in_place_of_a_file() =>
        Spoil("fifo", "rm image/manifest.json; mkfifo image/manifest.json; STASIS_LIMIT=60");

    [Fact]
    public void A_link_out_of_the_image() => Cage.Script("link", $$"""
        {{Before}}
        cp image/manifest.json outside.json
        rm image/manifest.json
        ln -s /dev/zero image/manifest.json
        STASIS_LIMIT=60
        {{After}}
        """);
}
