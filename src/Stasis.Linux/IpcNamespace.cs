namespace Stasis.Linux;

/// <summary>An ipc namespace, entered for a moment by a thread of ours (man 2 setns: of all namespaces it may be any thread's own).</summary>
public static class IpcNamespace
{
    private const int CLONE_NEWIPC = 0x08000000;

    /// <summary>Whether a process lives in the same one as we. True for one that is gone.</summary>
    public static bool IsOurs(int pid)
    {
        (SysResult result, string theirs) = Files.ReadLink($"/proc/{pid}/ns/ipc");
        return result.Failed || theirs == Files.ReadLink("/proc/self/ns/ipc").Target;
    }

    /// <summary>Whether two processes live in the same one. False when one is gone.</summary>
    public static bool AreSame(int one, int other)
    {
        (SysResult result, string its) = Files.ReadLink($"/proc/{one}/ns/ipc");
        return !result.Failed && its == Files.ReadLink($"/proc/{other}/ns/ipc").Target;
    }

    /// <summary>Runs work in the ipc namespace of a process.</summary>
    public static void Within(int pid, Action work)
    {
        if (IsOurs(pid))
        {
            work();
            return;
        }
        OnThreadOf(pid, work);
    }

    /// <summary>The same on a thread of its own in any case, which may change its credentials.</summary>
    public static void OnThreadOf(int pid, Action work) =>
        OwnThread.Run(0, () =>
        {
            if (IsOurs(pid))
            {
                work();
                return;
            }
            using var space = new DescriptorHandle(Files.Open($"/proc/{pid}/ns/ipc", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor("open of an ipc namespace", $"process {pid}"));
            Kernel.Call(Syscall.setns, space.Number, CLONE_NEWIPC).OrThrow("setns to its ipc namespace", $"process {pid}");
            work();
        });
}
