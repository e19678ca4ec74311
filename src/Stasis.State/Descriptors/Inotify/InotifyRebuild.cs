using System.Globalization;
using Stasis.Linux;

namespace Stasis.State.Descriptors.Inotify;

/// <summary>Gives a new instance its watches by their numbers, and the news of what it missed.</summary>
internal sealed class InotifyRebuild(int inotify, IReadOnlyList<(InotifyWatch Watch, string Path)> watches)
{
    public void Run(bool tellOfOverflow)
    {
        int next = watches.Count == 0 ? 1 : watches[^1].Watch.Number + 1;
        List<InotifyWatch> gone = [];
        foreach ((InotifyWatch watch, string path) in watches) if (!Add(watch, path)) gone.Add(watch);
        // First the overflow: what is taken out of the queue on the way must not be the other news.
        if (tellOfOverflow) Overflow(next);
        foreach (InotifyWatch watch in gone) TellGone(watch);
        Linux.Inotify.SetNext(inotify, next).OrThrow($"ioctl(INOTIFY_IOC_SETNEXTWD, {next})");
    }

    private bool Add(InotifyWatch watch, string path)
    {
        // Never two numbers for one inode: what is another name of the same file by now is gone as what it was.
        uint mask = watch.Mask | Linux.Inotify.IN_MASK_CREATE | (watch.Description == 0 ? Linux.Inotify.IN_DONT_FOLLOW : 0);
        SysResult added = AddAs(watch.Number, path, mask);
        if (added.Errno is Errno.ENOENT or Errno.ENOTDIR or Errno.EEXIST) return false;
        if (added.Errno == Errno.ENOSPC) throw new KernelRefusal($"inotify_add_watch of {path} (fs.inotify.max_user_watches is reached: raise it with sysctl)", added.Errno);
        long number = added.OrThrow($"inotify_add_watch of {path}");
        InvariantBroken.Require(number == watch.Number, $"a watch was to have number {watch.Number} and has {number}");
        return true;
    }

    private SysResult AddAs(int number, string path, uint mask)
    {
        SysResult set = Linux.Inotify.SetNext(inotify, number);
        return set.Failed ? set : Linux.Inotify.Add(inotify, path, mask);
    }

    /// <summary>What the program would have heard when the file went: IN_DELETE_SELF, if it asked for that, and IN_IGNORED. A memory file that ends here does it.</summary>
    private void TellGone(InotifyWatch watch)
    {
        using var file = new DescriptorHandle(Files.MemoryFile("stasis-gone", 0).OrThrowDescriptor("memfd_create"));
        AddAs(watch.Number, $"/proc/self/fd/{file.Number}", watch.Mask).OrThrow($"inotify_add_watch with number {watch.Number}");
    }

    /// <summary>
    /// Leaves one IN_Q_OVERFLOW in the queue: events of a file of ours fill it until the kernel itself says that it is full, then
    /// all but that last one are read away. The end of our watch goes unsaid, as the queue is full at that moment.
    /// </summary>
    private void Overflow(int number)
    {
        using var file = new DescriptorHandle(Files.MemoryFile("stasis-overflow", 0).OrThrowDescriptor("memfd_create"));
        int watch = (int)AddAs(number, $"/proc/self/fd/{file.Number}", Linux.Inotify.IN_MODIFY | Linux.Inotify.IN_ATTRIB).OrThrow("inotify_add_watch of a file of our own");
        int capacity = int.Parse(Files.ReadText("/proc/sys/fs/inotify/max_queued_events").Text.Trim(), CultureInfo.InvariantCulture);
        // Never two equal ones in a row, which the kernel would make one of.
        for (int i = 0; i <= capacity; i++)
        {
            if (i % 2 == 0) Files.Truncate(file.Number, i / 2 % 2).OrThrow("ftruncate");
            else Kernel.Call(Syscall.fchmod, file.Number, 0x180).OrThrow("fchmod");
        }
        Linux.Inotify.Remove(inotify, watch).OrThrow("inotify_rm_watch");
        TakeAllButOne();
    }

    private void TakeAllButOne()
    {
        byte[] buffer = new byte[64 * 1024];
        while (Linux.Inotify.Waiting(inotify) is var waiting && waiting > Linux.Inotify.EventSize)
            Files.Read(inotify, buffer.AsSpan(0, Math.Min(buffer.Length, waiting - Linux.Inotify.EventSize))).OrThrow("read of our own events");
        InvariantBroken.Require(Linux.Inotify.Waiting(inotify) == Linux.Inotify.EventSize, "the news of an overflow did not stay in the queue");
    }
}
