namespace Stasis.Linux;

/// <summary>Shared anonymous memory as a file that others can map.</summary>
public static unsafe class SharedMemory
{
    /// <summary>
    /// The same inode that MAP_SHARED | MAP_ANONYMOUS makes, by a descriptor: mapped here for a moment and opened through
    /// /proc/self/map_files (man 5 proc_pid_map_files; takes CAP_CHECKPOINT_RESTORE).
    /// </summary>
    /// <param name="hugePage">The size of its pages where they are huge ones, else 0.</param>
    public static int Create(ulong length, ulong hugePage = 0)
    {
        const int PROT_READ_WRITE = 3, MAP_SHARED_ANONYMOUS = 0x21, MAP_NORESERVE = 0x4000;
        ulong page = Math.Max(4096, hugePage);
        length = (length + page - 1) & ~(page - 1);
        // What a shared mapping reserves of huge pages stays reserved as long as the file: that is for those who map it then.
        nint flags = hugePage == 0 ? MAP_SHARED_ANONYMOUS : MAP_SHARED_ANONYMOUS | MAP_NORESERVE | HugePages.MAP_HUGETLB | (nint)HugePages.SizeFlag(hugePage);
        ulong address = (ulong)Kernel.Call(Syscall.mmap, 0, (nint)length, PROT_READ_WRITE, flags, -1, 0).OrThrow("mmap of shared memory");
        SysResult opened = Files.Open($"/proc/self/map_files/{address:x}-{address + length:x}", OpenFlags.O_RDWR);
        Kernel.Call(Syscall.munmap, (nint)address, (nint)length).OrThrow("munmap");
        return opened.OrThrowDescriptor("open of shared memory");
    }

    /// <summary>One page of a file as those see it who have it mapped.</summary>
    public static void CopyPage(int descriptor, long offset, Span<byte> page)
    {
        const int PROT_READ = 1, MAP_SHARED = 1, PageSize = 4096;
        nint address = (nint)Kernel.Call(Syscall.mmap, 0, PageSize, PROT_READ, MAP_SHARED, descriptor, (nint)offset).OrThrow("mmap of a shared object");
        new ReadOnlySpan<byte>((void*)address, PageSize).CopyTo(page);
        Kernel.Call(Syscall.munmap, address, PageSize).OrThrow("munmap");
    }
}
