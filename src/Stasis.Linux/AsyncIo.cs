using System.Buffers.Binary;

namespace Stasis.Linux;

/// <summary>Contexts of asynchronous I/O of our own process (man 2 io_setup).</summary>
public static unsafe class AsyncIo
{
    /// <summary>struct iocb (include/uapi/linux/aio_abi.h): data 8, key 4, rw_flags 4, opcode 2, priority 2, descriptor 4, buffer 8, length 8, offset 8, reserved 8, flags 4, resfd 4.</summary>
    public const int RequestLength = 64, DescriptorAt = 20;

    /// <summary>Does something while we have an idle context.</summary>
    public static T WithOwn<T>(Func<T> work)
    {
        ulong context = 0;
        Kernel.Call(Syscall.io_setup, 1, (nint)(&context)).OrThrow("io_setup of our own");
        try
        {
            return work();
        }
        finally
        {
            Kernel.Call(Syscall.io_destroy, (nint)context);
        }
    }

    /// <summary>How many completions a context for that many requests has room for here.</summary>
    public static (SysResult Made, uint Places) PlacesOf(uint requests)
    {
        ulong context = 0;
        SysResult made = Kernel.Call(Syscall.io_setup, (nint)requests, (nint)(&context));
        if (made.Failed) return (made, 0);
        uint places = BinaryPrimitives.ReadUInt32LittleEndian(new ReadOnlySpan<byte>((void*)(context + 4), 4));
        Kernel.Call(Syscall.io_destroy, (nint)context);
        return (made, places);
    }
}
