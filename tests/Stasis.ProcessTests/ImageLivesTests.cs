namespace Stasis.ProcessTests;

/// <summary>An image is only read: it begins as many lives as are asked for, at any place.</summary>
public sealed class ImageLivesTests
{
    // In ./image a program that waits for the file go, prints what it has computed to where its restart's output goes, and ends with 7.
    private const string Before = """
        perl -e '$s += $_ * $_ for 1 .. 100000; open F, ">ready"; print F $$; close F; select(undef, undef, undef, 0.01) until -e "go"; print "sum $s\n"; exit 7' </dev/null 2>/dev/null | cat >first &
        await_file ready 30 || failed "the program is not ready"
        pid=$(cat ready)
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        wanted='sum 333338333350000'
        # life IMAGE: one that goes on to its end.
        life() {
          timeout 50 "$stasis" restart "$@" </dev/null >life 2>errors
          [ $? -eq 7 ] || failed "it ended with another code: $(cat errors)"
          [ "$(cat life)" = "$wanted" ] || failed "it says '$(cat life)'"
        }

        """;

    [Fact]
    public void Ten_lives_one_after_the_other() => Cage.Script("lives", Before + """
        touch go
        find image -type f -exec md5sum {} + >sums
        for i in {1..10}; do life image; done
        md5sum --quiet -c sums || failed "the image has changed"
        expect_processes 1
        """);

    [Fact]
    public void Two_lives_at_the_same_time() => Cage.Script("lives-two", Before + """
        for i in 1 2; do
          timeout 50 "$stasis" restart image --new-pid-namespace --pid-file pid$i </dev/null >life$i 2>errors$i &
          starters[i]=$!
        done
        for i in 1 2; do
          await_file pid$i 30 || failed "life $i does not begin: $(cat errors$i)"
          [ "$(awk '/^NSpid/ {print $NF}' /proc/$(cat pid$i)/status)" = $pid ] || failed "life $i has another id"
        done
        touch go
        for i in 1 2; do
          wait ${starters[i]}
          code=$?
          [ $code -eq 7 ] || failed "life $i ended with $code: $(cat errors$i)"
          [ "$(cat life$i)" = "$wanted" ] || failed "life $i says '$(cat life$i)'"
        done
        """);

    [Theory]
    [InlineData("copied", "cp -r image elsewhere; rm -rf image; life elsewhere")]
    [InlineData("moved", "mkdir -p 'a folder'; mv image 'a folder/'; life 'a folder/image'")]
    [InlineData("packed", "tar -czf image.tar.gz image; rm -rf image; mkdir other; tar -C other -xzf image.tar.gz; life other/image")]
    [InlineData("read-only", "mount --bind image image; mount -o remount,bind,ro image; ! touch image/x 2>/dev/null || failed 'it can be written'; life image; umount image")]
    public void A_life_from_an_image_that_was(string how, string commands) => Cage.Script($"lives-{how}", $"{Before}\ntouch go\n{commands}\nexpect_processes 1\n");
}
