namespace Stasis.ProcessTests;

/// <summary>System V IPC where its objects are still there at the restart, or others are in their place, or the tree has a namespace of its own.</summary>
public sealed class SystemVTests
{
    [Theory]
    [InlineData("sysv_shared_memory")]
    [InlineData("sysv_semaphores")]
    [InlineData("sysv_messages")]
    [InlineData("posix_queues")]
    public void In_a_namespace_of_its_own_all_is_carried(string victim) => Cage.Script($"own-{victim}", $$"""
        mkdir cwd
        (cd cwd && exec $stasis run --pid-file ../pid -- $victims/{{victim}} </dev/null >out.txt 2>&1) &
        await_file cwd/ready 30 || failed "not ready: $(cat cwd/out.txt)"
        [ $(cat /proc/sysvipc/* | wc -l) -eq 3 ] || failed "its objects are in our namespace: $(cat /proc/sysvipc/*)"
        pid=$(cat pid)
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30 || failed "it still runs"
        wait
        tool restart image --detach --pid-file pid
        expect_code 0
        pid=$(cat pid)
        verify_victim
        [ $(cat /proc/sysvipc/* | wc -l) -eq 3 ] || failed "objects are left in our namespace: $(cat /proc/sysvipc/*)"
        """);

    [Fact]
    public void A_segment_in_use_by_others_is_not_taken_back() => Cage.Script("sysv-in-use", """
        start_victim sysv_shared_memory
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30 || failed "it still runs"
        # The segment that was not attached outlives its program.
        $tools/segment 0x57a515 >attached &
        user=$!
        await_file attached 30 || failed "it is gone"
        tool restart image --detach --pid-file pid
        expect_code 69
        expect_says "by process $user"
        kill $user; wait $user
        tool restart image --detach --pid-file pid
        expect_code 0
        pid=$(cat pid)
        verify_victim
        """);

    [Fact]
    public void An_id_or_key_that_others_have_now_is_named() => Cage.Script("sysv-taken", """
        start_victim sysv_messages
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30 || failed "it still runs"
        ipcrm -Q 0x57a517
        other=$(ipcmk -Q | grep -o '[0-9]*$')
        tool restart image --new-pid-namespace --detach --pid-file pid
        expect_code 0
        verify_victim
        rm -f cwd/verify cwd/result
        ipcrm -q $other
        # The key, with another id.
        python3 -c 'import ctypes; libc = ctypes.CDLL(None); assert libc.msgget(0x57a517, 0o1600) >= 0'
        tool restart image --detach --pid-file pid
        expect_code 69
        expect_says "key 0x0057a517"
        [ $(wc -l </proc/sysvipc/msg) -eq 4 ] || failed "a refused restart made queues: $(cat /proc/sysvipc/msg)"
        """);

    [Fact]
    public void A_restart_that_fails_leaves_no_objects() => Cage.Script("sysv-failed", """
        start_victim sysv_semaphores
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30 || failed "it still runs"
        ipcrm -a
        # Pages that are not what was written: found when everything is made already.
        printf x | dd of=image/pages.bin bs=1 seek=5000 conv=notrunc status=none
        tool restart image --detach --pid-file pid
        expect_code 65
        [ $(cat /proc/sysvipc/* | wc -l) -eq 3 ] || failed "objects are left: $(cat /proc/sysvipc/*)"
        """);
}
