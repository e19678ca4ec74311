using System.Buffers.Binary;

namespace Stasis.Linux;

/// <summary>System V IPC of the calling thread's ipc namespace (man 7 sysvipc).</summary>
public static unsafe class SysvIpc
{
    public const int IPC_CREAT = 0x200, IPC_EXCL = 0x400, IPC_NOWAIT = 0x800, IPC_RMID = 0, IPC_SET = 1, IPC_STAT = 2;
    public const int SHM_RDONLY = 0x1000, SHM_EXEC = 0x8000, SHM_LOCK = 11, SHM_DEST = 0x200, SHM_LOCKED = 0x400, SHM_NORESERVE = 0x1000, SHM_HUGETLB = 0x800;
    public const int GETPID = 11, GETALL = 13, SETALL = 17, SEM_UNDO = 0x1000, SEMVMX = 32767;
    public const int MSG_NOERROR = 0x1000, MSG_COPY = 0x4000, MSG_STAT_LENGTH = 120;

    /// <summary>The values of all semaphores of a set of that many.</summary>
    public static (SysResult Result, ushort[] Values) SemaphoreValues(int id, int count)
    {
        ushort[] values = new ushort[count];
        fixed (ushort* pointer = values) return (Kernel.Call(Syscall.semctl, id, 0, GETALL, (nint)pointer), values);
    }

    /// <summary>The process (in our pid namespace) that did the last operation on one of a set.</summary>
    public static SysResult LastProcess(int id, int number) => Kernel.Call(Syscall.semctl, id, number, GETPID, 0);

    /// <summary>How many bytes a message queue may hold (msg_qbytes of struct msqid64_ds, include/uapi/asm-generic/msgbuf.h).</summary>
    public static (SysResult Result, ulong Bytes) QueueCapacity(int id)
    {
        byte[] status = new byte[MSG_STAT_LENGTH];
        fixed (byte* pointer = status) return (Kernel.Call(Syscall.msgctl, id, IPC_STAT, (nint)pointer), BinaryPrimitives.ReadUInt64LittleEndian(status.AsSpan(88)));
    }

    /// <summary>The message at a place of a queue, which stays there (MSG_COPY, man 2 msgrcv). ENOMSG behind the last.</summary>
    public static (SysResult Result, long Type, byte[] Text) PeekMessage(int id, int place, int room)
    {
        byte[] buffer = new byte[sizeof(long) + room];
        fixed (byte* pointer = buffer)
        {
            SysResult result = Kernel.Call(Syscall.msgrcv, id, (nint)pointer, room, place, MSG_COPY | IPC_NOWAIT);
            return result.Failed ? (result, 0, []) : (result, BinaryPrimitives.ReadInt64LittleEndian(buffer), buffer.AsSpan(sizeof(long), (int)result.Value).ToArray());
        }
    }

    /// <summary>Takes all messages out of a queue.</summary>
    public static SysResult EmptyQueue(int id)
    {
        byte* buffer = stackalloc byte[sizeof(long) + 1];
        while (true)
        {
            SysResult result = Kernel.Call(Syscall.msgrcv, id, (nint)buffer, 1, 0, MSG_NOERROR | IPC_NOWAIT);
            if (result.Failed) return result.Errno == Errno.ENOMSG ? new SysResult(0) : result;
        }
    }

    /// <summary>Attaches a segment to our own process for reading.</summary>
    public static SysResult AttachToRead(int id) => Kernel.Call(Syscall.shmat, id, 0, SHM_RDONLY);
    public static SysResult Detach(ulong address) => Kernel.Call(Syscall.shmdt, (nint)address);
    public static SysResult RemoveSegment(int id) => Kernel.Call(Syscall.shmctl, id, IPC_RMID, 0);
    public static SysResult RemoveSemaphores(int id) => Kernel.Call(Syscall.semctl, id, 0, IPC_RMID, 0);
    public static SysResult RemoveQueue(int id) => Kernel.Call(Syscall.msgctl, id, IPC_RMID, 0);
}
