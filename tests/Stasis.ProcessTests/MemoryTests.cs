namespace Stasis.ProcessTests;

/// <summary>What memory takes: of the image, and of the host it is restarted on.</summary>
public sealed class MemoryTests
{
    /// <summary>Seven processes with 8 MiB each, of which one has moved its own and all have written some.</summary>
    [Fact]
    public void Pages_in_common_with_a_parent_are_stored_once() => Cage.Script("memory-forked", """
        start_victim memory_forked
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30 || failed "it still runs"
        size=$(stat -c %s image/pages.bin)
        [ $size -gt 16000000 ] || failed "pages.bin has only $size bytes"
        [ $size -lt 36000000 ] || failed "pages.bin has $size bytes, as if each page were stored for each process"
        tool restart image --detach --pid-file pid
        expect_code 0
        pid=$(cat pid)
        verify_victim
        """);

    [Fact]
    public void Too_few_huge_pages_are_named_before_anything_is_made() => Cage.Script("memory-huge", """
        directory=/sys/kernel/mm/hugepages/hugepages-2048kB
        [ -w $directory/nr_overcommit_hugepages ] || skip "no huge pages here"
        allow() { (flock 9; read -r now <&9; echo $((now + $1)) >$directory/nr_overcommit_hugepages) 9<$directory/nr_overcommit_hugepages; }
        available() { echo $(($(<$directory/free_hugepages) - $(<$directory/resv_hugepages) + $(<$directory/nr_overcommit_hugepages) - $(<$directory/surplus_hugepages))); }
        # Beside what another test may be given.
        [ $(available) -lt 50 ] || skip "too many huge pages here"
        allow 80
        trap 'allow -80' EXIT
        export STASIS_MORE_HUGE_PAGES=70
        start_victim huge_pages
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30 || failed "it still runs"
        allow -80
        trap - EXIT
        tool restart image --detach --pid-file pid
        expect_code 69
        expect_says "needs 1[45][0-9] huge pages of 2 MiB"
        expect_processes 2
        # A child that was forked has nothing reserved, but what it has is reserved when it is mapped again.
        allow 170
        trap 'allow -170' EXIT
        tool restart image --detach --pid-file pid
        expect_code 0
        pid=$(cat pid)
        verify_victim
        """);
}
