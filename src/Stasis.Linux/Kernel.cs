using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace Stasis.Linux;

/// <summary>
/// The one gate to the kernel for our own process. Takes errno on the very next statement (formatting a string in between
/// changed it in an experiment) and returns it in the value, as the kernel itself does.
/// </summary>
public static unsafe partial class Kernel
{
    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint syscall(nint number, nint a0, nint a1, nint a2, nint a3, nint a4, nint a5);

    public static SysResult Call(Syscall number, nint a0 = 0, nint a1 = 0, nint a2 = 0, nint a3 = 0, nint a4 = 0, nint a5 = 0)
    {
        nint result = syscall((nint)(int)number, a0, a1, a2, a3, a4, a5);
        if (result == -1)
        {
            int errno = Marshal.GetLastPInvokeError();
            return errno == 0 ? new SysResult(-1) : SysResult.Error((Errno)errno);
        }
        return new SysResult(result);
    }

    /// <summary>As <see cref="Call"/>, again when a signal interrupted it.</summary>
    public static SysResult CallRetrying(Syscall number, nint a0 = 0, nint a1 = 0, nint a2 = 0, nint a3 = 0, nint a4 = 0, nint a5 = 0)
    {
        while (true)
        {
            SysResult result = Call(number, a0, a1, a2, a3, a4, a5);
            if (result.Errno != Errno.EINTR) return result;
        }
    }

    /// <summary>Makes a call with the address of a buffer that lies still meanwhile, so that code above this project needs no pointers.</summary>
    public static SysResult CallWith<T>(Span<T> buffer, Func<nint, SysResult> call) where T : unmanaged
    {
        fixed (T* pointer = buffer) return call((nint)pointer);
    }
}
