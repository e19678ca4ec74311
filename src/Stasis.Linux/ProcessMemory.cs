namespace Stasis.Linux;

/// <summary>Memory of another process. Needs no tracer identity, so any of our threads may use it (man 2 process_vm_readv).</summary>
public static unsafe class ProcessMemory
{
    /// <summary>Reads at most the buffer's length; the number of bytes read may be less where a mapping ends. ESRCH when the process is gone.</summary>
    public static SysResult Read(int pid, ulong address, Span<byte> buffer)
    {
        fixed (byte* pointer = buffer)
        {
            nint* local = stackalloc nint[2] { (nint)pointer, buffer.Length };
            nint* remote = stackalloc nint[2] { (nint)address, buffer.Length };
            return Kernel.Call(Syscall.process_vm_readv, pid, (nint)local, 1, (nint)remote, 1, 0);
        }
    }

    public static SysResult Write(int pid, ulong address, ReadOnlySpan<byte> buffer)
    {
        fixed (byte* pointer = buffer)
        {
            nint* local = stackalloc nint[2] { (nint)pointer, buffer.Length };
            nint* remote = stackalloc nint[2] { (nint)address, buffer.Length };
            return Kernel.Call(Syscall.process_vm_writev, pid, (nint)local, 1, (nint)remote, 1, 0);
        }
    }

    public static SysResult ReadExactly(int pid, ulong address, Span<byte> buffer)
    {
        SysResult result = Read(pid, address, buffer);
        return result.Failed || result.Value == buffer.Length ? result : SysResult.Error(Errno.EFAULT);
    }

    public static SysResult WriteExactly(int pid, ulong address, ReadOnlySpan<byte> buffer)
    {
        SysResult result = Write(pid, address, buffer);
        return result.Failed || result.Value == buffer.Length ? result : SysResult.Error(Errno.EFAULT);
    }

    /// <summary>Writes through /proc/PID/mem, which reaches mappings that are not writable (FOLL_FORCE; man 5 proc, /proc/pid/mem).</summary>
    public static SysResult WriteForced(int pid, ulong address, ReadOnlySpan<byte> buffer)
    {
        SysResult opened = Files.Open($"/proc/{pid}/mem", OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return opened;
        using var handle = new DescriptorHandle(opened.Descriptor);
        return Files.WriteAllAt(handle.Number, buffer, (long)address);
    }
}

/// <summary>kcmp(2): whether two tasks share a kernel object, with an order that lets us sort instead of comparing all pairs.</summary>
public static class Kcmp
{
    public enum Kind { File = 0, Vm = 1, Files = 2, Fs = 3, Sighand = 4, Io = 5, Sysvsem = 6, EpollTarget = 7 }

    /// <summary>0 equal, -1 first is less, 1 first is greater.</summary>
    public static int Compare(int first, int second, Kind kind, long firstIndex = 0, long secondIndex = 0)
    {
        SysResult result = Kernel.Call(Syscall.kcmp, first, second, (nint)kind, (nint)firstIndex, (nint)secondIndex);
        long order = result.OrThrow($"kcmp({kind}) of {first} and {second}");
        return order switch { 0 => 0, 1 => -1, 2 => 1, _ => throw new KernelRefusal($"kcmp({kind}) of {first} and {second}: not comparable", Errno.EINVAL) };
    }
}

/// <summary>A duplicate of another process's descriptor: the same open file description (man 2 pidfd_getfd, Linux 5.6).</summary>
public static class ForeignDescriptor
{
    public static SysResult Take(int pid, int descriptor)
    {
        const int PIDFD_THREAD = 0x80; // O_EXCL; Linux 6.9, for a process whose main thread has ended
        SysResult pidfd = Kernel.Call(Syscall.pidfd_open, pid, 0);
        if (pidfd.Errno is Errno.EINVAL or Errno.ENOENT) pidfd = Kernel.Call(Syscall.pidfd_open, pid, PIDFD_THREAD);
        if (pidfd.Failed) return pidfd;
        using var handle = new DescriptorHandle(pidfd.Descriptor);
        return Kernel.Call(Syscall.pidfd_getfd, handle.Number, descriptor, 0);
    }
}

/// <summary>Reads many ranges of another process at once.</summary>
public static unsafe class ProcessRanges
{
    private const int MaxVectors = 1024; // UIO_MAXIOV

    /// <summary>Fills the buffer with the ranges, one behind the other. Falls back to /proc/PID/mem where the process itself may not read (PROT_NONE).</summary>
    public static void Read(int pid, ReadOnlySpan<PageRun> runs, Span<byte> buffer)
    {
        nint* remote = stackalloc nint[MaxVectors * 2];
        nint* local = stackalloc nint[2];
        int filled = 0;
        for (int first = 0; first < runs.Length; first += MaxVectors)
        {
            ReadOnlySpan<PageRun> batch = runs.Slice(first, Math.Min(MaxVectors, runs.Length - first));
            int wanted = 0;
            for (int i = 0; i < batch.Length; i++)
            {
                remote[i * 2] = (nint)batch[i].Start;
                remote[i * 2 + 1] = (nint)batch[i].Length;
                wanted += (int)batch[i].Length;
            }
            fixed (byte* pointer = buffer.Slice(filled, wanted))
            {
                (local[0], local[1]) = ((nint)pointer, wanted);
                SysResult result = Kernel.Call(Syscall.process_vm_readv, pid, (nint)local, 1, (nint)remote, batch.Length, 0);
                if (result.Failed && result.Errno != Errno.EFAULT) result.OrThrow("process_vm_readv", $"process {pid}");
                if (result.Failed || result.Value != wanted) ReadForced(pid, batch, buffer.Slice(filled, wanted));
            }
            filled += wanted;
        }
    }

    private static void ReadForced(int pid, ReadOnlySpan<PageRun> runs, Span<byte> buffer)
    {
        using var memory = new DescriptorHandle(Files.Open($"/proc/{pid}/mem", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of /proc/{pid}/mem"));
        int filled = 0;
        foreach (PageRun run in runs)
        {
            int end = filled + (int)run.Length;
            for (ulong at = run.Start; filled < end;)
            {
                long read = Files.ReadAt(memory.Number, buffer[filled..end], (long)at).OrThrow($"read of memory at {at:x}", $"process {pid}");
                if (read == 0) throw new KernelRefusal($"read of memory at {at:x}", Errno.EFAULT, $"process {pid}");
                filled += (int)read;
                at += (ulong)read;
            }
        }
    }
}
