using Stasis.State.Descriptors;
using Stasis.State.Descriptors.Fanotify;
using Stasis.State.Descriptors.Inotify;
using Stasis.State.Descriptors.ProcFile;

namespace Stasis.UnitTests.State;

public sealed class DescriptorTextTests
{
    [Fact]
    public void A_watch_of_inotify_is_read()
    {
        InotifyLine? line = InotifyLine.Parse("inotify wd:1e ino:3c570 sdev:fe00001 mask:80000002 ignored_mask:0 fhandle-bytes:8 fhandle-type:81 f_handle:70c5030000000000");
        Assert.NotNull(line);
        Assert.Equal((30, 0x3c570ul, 254u, 1u, 0x80000002u, 0x81), (line.Number, line.Inode, line.DeviceMajor, line.DeviceMinor, line.Mask, line.HandleType));
        Assert.Equal([0x70, 0xc5, 3, 0, 0, 0, 0, 0], line.Handle);
    }

    [Theory]
    [InlineData("inotify")]
    [InlineData("inotify wd:0 ino:1 sdev:1 mask:1")]
    [InlineData("inotify wd:ffffffff ino:1 sdev:1 mask:1")]
    [InlineData("inotify wd:1 ino:x sdev:1 mask:1")]
    [InlineData("inotify wd:1 ino:1 sdev:100000000 mask:1")]
    [InlineData("inotify wd:1 ino:1 sdev:1 mask:1 f_handle:zz")]
    public void What_is_no_watch_is_none(string line) => Assert.Null(InotifyLine.Parse(line));

    [Theory]
    [InlineData("fanotify ino:641e2 sdev:fe00001 mflags:40 mask:0 ignored_mask:20 fhandle-bytes:8 fhandle-type:1 f_handle:e24106008a6f5639", FanotifyMarkKind.File, -1, 254, 1, 0x40, 0, 0x20)]
    [InlineData("fanotify sdev:fe00000 mflags:0 mask:18 ignored_mask:0", FanotifyMarkKind.FileSystem, -1, 254, 0, 0, 0x18, 0)]
    [InlineData("fanotify mnt_id:1b mflags:0 mask:40000020 ignored_mask:0", FanotifyMarkKind.Mount, 27, 0, 0, 0, 0x40000020, 0)]
    public void A_mark_of_fanotify_is_read(string text, FanotifyMarkKind kind, int mount, uint major, uint minor, uint flags, uint mask, uint ignored)
    {
        FanotifyLine? line = FanotifyLine.Parse(text);
        Assert.NotNull(line);
        Assert.Equal((kind, mount, (major, minor), flags, mask, ignored), (line.Kind, line.Mount, line.Device, line.Flags, line.Mask, line.Ignored));
        Assert.Equal(kind == FanotifyMarkKind.File ? 0x641e2ul : null, line.File?.Inode);
    }

    [Theory]
    [InlineData("fanotify")]
    [InlineData("fanotify mnt_id:ffffffff mflags:0 mask:1 ignored_mask:0")]
    [InlineData("fanotify sdev:1 mflags:0 mask:1")]
    [InlineData("fanotify mntns:1 mflags:0 mask:1 ignored_mask:0")]
    [InlineData("fanotify ino:x sdev:1 mflags:0 mask:1 ignored_mask:0")]
    public void What_is_no_mark_is_none(string line) => Assert.Null(FanotifyLine.Parse(line));

    [Fact]
    public void A_mount_is_read() => Assert.Equal(new MountLine(36, (98, 1), "/mnt with blank", "ext3"), MountLine.Parse("36 35 98:1 /mnt1 /mnt\\040with\\040blank rw,noatime master:1 - ext3 /dev/root rw,errors=continue"));

    [Theory]
    [InlineData("")]
    [InlineData("36 35 98:0 /mnt1 /mnt2 rw,noatime")]
    [InlineData("36 35 98 /mnt1 /mnt2 rw - ext3")]
    [InlineData("36 35 98:0 /mnt1 /mnt2 rw -")]
    public void What_is_no_mount_is_none(string line) => Assert.Null(MountLine.Parse(line));

    [Theory]
    [InlineData("/proc/12", 12, "")]
    [InlineData("/proc/12 (deleted)", 12, "")]
    [InlineData("/proc/12/task/13/stat", 12, "task/13/stat")]
    public void A_file_of_a_process_is_known(string link, int process, string name) => Assert.Equal((process, name), ProcFileKind.Parse(link));

    [Theory]
    [InlineData("/proc/meminfo")]
    [InlineData("/proc/-1/stat")]
    [InlineData("/proc/99999999999/stat")]
    [InlineData("/proc/1x/stat")]
    [InlineData("/home/12")]
    public void Other_files_are_not(string link) => Assert.Null(ProcFileKind.Parse(link));

    [Theory]
    [InlineData("../../etc/shadow", true)]
    [InlineData("root/etc/shadow", true)]
    [InlineData("task/5/cwd/x", true)]
    [InlineData("fd/3", true)]
    [InlineData("exe", true)]
    [InlineData("fd", false)]
    [InlineData("", false)]
    [InlineData("task/5/stat", false)]
    public void A_name_that_leads_out_of_the_process_is_known(string name, bool away) => Assert.Equal(away, ProcFileKind.LeadsAway(name));

    [Theory]
    [InlineData(0, -1, true)]
    [InlineData(5, 5, true)]
    [InlineData(5, 4, false)]
    [InlineData(-1, 4, false)]
    [InlineData(0, -2, false)]
    [InlineData(0, long.MaxValue, false)]
    public void A_range_of_a_lock_is_one(long start, long end, bool range) => Assert.Equal(range, FileLock.IsRange(start, end));
}
