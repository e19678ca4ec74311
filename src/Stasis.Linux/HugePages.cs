using System.Globalization;
using System.Numerics;

namespace Stasis.Linux;

/// <summary>
/// Files of huge pages (Documentation/admin-guide/mm/hugetlbpage.rst): what MAP_HUGETLB, MFD_HUGETLB and SHM_HUGETLB make too. They can be
/// mapped and read, not written by write(2).
/// </summary>
public static unsafe class HugePages
{
    public const uint HUGETLBFS_MAGIC = 0x958458f6; // include/uapi/linux/magic.h
    public const int MAP_HUGETLB = 0x40000, MFD_HUGETLB = 4;
    private const int HUGETLB_FLAG_ENCODE_SHIFT = 26; // include/uapi/asm-generic/hugetlb_encode.h, the same for mmap, memfd_create and shmget
    private const ulong Largest = 16ul << 30;

    /// <summary>The size of a page of the file behind a path; 0 for a file of ordinary pages.</summary>
    public static ulong PageSizeOf(string path) => Files.FileSystemKind(path) is { Magic: HUGETLBFS_MAGIC } kind ? (ulong)kind.BlockSize : 0;

    public static ulong PageSizeOf(int descriptor) => PageSizeOf($"/proc/self/fd/{descriptor}");

    /// <summary>Whether there may be huge pages of this size on some machine (include/uapi/asm-generic/hugetlb_encode.h: up to 16 GiB).</summary>
    public static bool IsPageSize(ulong bytes) => bytes is > 4096 and <= Largest && BitOperations.IsPow2(bytes);

    /// <summary>The flag that chooses a size: MAP_HUGE_2MB, MFD_HUGE_1GB and the like.</summary>
    public static uint SizeFlag(ulong page) => (uint)BitOperations.Log2(page) << HUGETLB_FLAG_ENCODE_SHIFT;

    /// <summary>Writes through a mapping of ours. ENOMEM when there are not enough huge pages.</summary>
    public static SysResult WriteAllAt(int descriptor, ReadOnlySpan<byte> bytes, long offset, ulong page)
    {
        const int PROT_READ_WRITE = 3, MAP_SHARED = 1;
        ulong start = (ulong)offset & ~(page - 1), length = ((ulong)offset + (ulong)bytes.Length + page - 1 & ~(page - 1)) - start;
        // Not without a reservation: a page that can't be had would end us with SIGBUS.
        SysResult mapped = Kernel.Call(Syscall.mmap, 0, (nint)length, PROT_READ_WRITE, MAP_SHARED, descriptor, (nint)start);
        if (mapped.Failed) return mapped;
        bytes.CopyTo(new Span<byte>((void*)((ulong)mapped.Value + (ulong)offset - start), bytes.Length));
        SysResult unmapped = Kernel.Call(Syscall.munmap, (nint)mapped.Value, (nint)length);
        return unmapped.Failed ? unmapped : new SysResult(bytes.Length);
    }

    /// <summary>How many pages of this size can be had: free ones that nobody has reserved, and those that the kernel may make on demand; -1 when there is no such size here.</summary>
    public static long Available(ulong page)
    {
        string directory = $"/sys/kernel/mm/hugepages/hugepages-{page / 1024}kB";
        if (Files.Status(directory).Result.Failed) return -1;
        long Count(string name) => long.TryParse(Files.ReadText($"{directory}/{name}").Text.Trim(), CultureInfo.InvariantCulture, out long count) ? count : 0;
        return Math.Max(0, Count("free_hugepages") - Count("resv_hugepages")) + Math.Max(0, Count("nr_overcommit_hugepages") - Count("surplus_hugepages"));
    }
}
