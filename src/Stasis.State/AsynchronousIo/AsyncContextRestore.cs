using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.State.AsynchronousIo;

/// <summary>
/// Makes contexts of asynchronous I/O in a blank process: io_setup, then as many requests that read nothing as bring the kernel's own place in
/// the completions to where it was, then the move to the old address, which is the context's name (fs/aio.c, aio_ring_mremap).
/// </summary>
internal static class AsyncContextRestore
{
    private const int MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2, AtOnce = 64;

    public static void Run(BlankTask task, AsyncContextRecord record)
    {
        var tape = new Tape();
        TapeData name = tape.Data<ulong>(0);
        tape.Call($"io_setup for {record.MaxRequests} requests", Syscall.io_setup, record.MaxRequests, name);
        TapeCall nothing = tape.Call("open of /dev/null", Syscall.open, tape.Text("/dev/null"), OpenFlags.O_RDONLY, 0);
        task.Run(tape);
        ulong context = name.Read<ulong>();
        int descriptor = (int)nothing.Result.Value;
        for (uint left = record.Head; left > 0;) left -= Submit(task, context, descriptor, Math.Min(left, Math.Min(AtOnce, record.MaxRequests)), take: true);
        for (uint left = (record.Tail + record.Places - record.Head) % record.Places; left > 0;) left -= Submit(task, context, descriptor, Math.Min(left, AtOnce), take: false);
        byte[] header = new byte[16];
        ProcessMemory.ReadExactly(task.Tid, context, header).OrThrow("read of a context of asynchronous I/O");
        if ((BitConverter.ToUInt32(header, 4), BitConverter.ToUInt32(header, 8), BitConverter.ToUInt32(header, 12)) != (record.Places, record.Head, record.Tail))
            throw new KernelRefusal($"a context of asynchronous I/O stands at {BitConverter.ToUInt32(header, 8)} and {BitConverter.ToUInt32(header, 12)} of {BitConverter.ToUInt32(header, 4)}, not at {record.Head} and {record.Tail} of {record.Places}", Errno.EINVAL, task.Tracee.Whose);
        // The first number is the kernel's own, of this context.
        ProcessMemory.WriteExactly(task.Tid, context + 4, record.Content.AsSpan(4)).OrThrow("write of a context of asynchronous I/O");
        var end = new Tape();
        end.Call("close of /dev/null", Syscall.close, descriptor);
        end.Call($"mremap of a context of asynchronous I/O to {record.Address:x}", Syscall.mremap, context, record.Content.Length, record.Content.Length, MREMAP_MAYMOVE | MREMAP_FIXED, record.Address);
        task.Run(end);
    }

    // How many were done.
    private static uint Submit(BlankTask task, ulong context, int descriptor, uint count, bool take)
    {
        var tape = new Tape();
        byte[] request = new byte[AsyncIo.RequestLength]; // opcode 0 is IOCB_CMD_PREAD, of no bytes
        BitConverter.TryWriteBytes(request.AsSpan(AsyncIo.DescriptorAt), descriptor);
        TapeData one = tape.Data(request), all = tape.Reserve((int)count * 8), events = tape.Reserve((int)count * AsyncContextRecord.EventLength);
        for (int i = 0; i < (int)count; i++) tape.PointAt(all, i * 8, one);
        TapeCall submitted = tape.Call("io_submit", Syscall.io_submit, context, count, all);
        if (take) tape.Call("io_getevents", Syscall.io_getevents, context, submitted, submitted, events, 0);
        task.Run(tape);
        return (uint)submitted.Result.Value;
    }
}
