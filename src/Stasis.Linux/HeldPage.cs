namespace Stasis.Linux;

/// <summary>A page of ours at which whoever touches it waits until it is opened, the kernel too (userfaultfd(2), missing pages).</summary>
public sealed unsafe class HeldPage : IDisposable
{
    public const int Size = 4096;
    private const ulong UFFDIO_API = 0xC018AA3F, UFFDIO_REGISTER = 0xC020AA00, UFFDIO_ZEROPAGE = 0xC020AA04, UFFD_API = 0xAA, MissingPages = 1; // include/uapi/linux/userfaultfd.h
    private const int PROT_READ_WRITE = 3, MAP_PRIVATE_ANONYMOUS = 0x22, MessageSize = 32;
    private readonly DescriptorHandle _faults;
    private bool _open;

    /// <summary>Errors: EPERM without CAP_SYS_PTRACE.</summary>
    public HeldPage()
    {
        _faults = new DescriptorHandle(Kernel.Call(Syscall.userfaultfd, OpenFlags.O_CLOEXEC).OrThrowDescriptor("userfaultfd"));
        try
        {
            Address = (nint)Kernel.Call(Syscall.mmap, 0, Size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0).OrThrow("mmap");
            Ask(UFFDIO_API, [UFFD_API, 0, 0], "UFFDIO_API");
            Ask(UFFDIO_REGISTER, [(ulong)Address, Size, MissingPages, 0], "UFFDIO_REGISTER");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Why there can be none here; null when there can.</summary>
    public static string? Unavailable()
    {
        try
        {
            new HeldPage().Dispose();
            return null;
        }
        catch (KernelRefusal refusal) { return refusal.Message; }
    }

    public nint Address { get; }

    /// <summary>Returns when somebody waits. Errors: EAGAIN after the time given.</summary>
    public void AwaitVisitor(int milliseconds)
    {
        byte* message = stackalloc byte[MessageSize];
        ulong pollfd = (uint)_faults.Number | (ulong)Poll.POLLIN << 32;
        if (Kernel.CallRetrying(Syscall.poll, (nint)(&pollfd), 1, milliseconds).OrThrow("poll of a userfaultfd") == 0) throw new KernelRefusal("wait for a page fault", Errno.EAGAIN);
        Kernel.CallRetrying(Syscall.read, _faults.Number, (nint)message, MessageSize).OrThrow("read of a userfaultfd");
    }

    /// <summary>From now on it is a page like any other.</summary>
    public void Open()
    {
        if (_open) return;
        _open = true;
        Ask(UFFDIO_ZEROPAGE, [(ulong)Address, Size, 0, 0], "UFFDIO_ZEROPAGE");
    }

    private void Ask(ulong request, ulong[] argument, string words) => Kernel.CallWith<ulong>(argument, address => Kernel.Call(Syscall.ioctl, _faults.Number, (nint)request, address)).OrThrow($"ioctl({words})");

    /// <summary>Nobody may be at it any more.</summary>
    public void Dispose()
    {
        _faults.Dispose(); // whoever waits goes on, to a page of zeros
        if (Address != 0) Kernel.Call(Syscall.munmap, Address, Size);
    }
}
