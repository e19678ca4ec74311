using System.Text;

namespace Stasis.Linux;

/// <summary>struct mq_attr (man 3 mq_getattr): the most messages, the most bytes of one, and how many wait.</summary>
public readonly record struct QueueAttributes(long MaxMessages, long MessageSize, long Waiting);

/// <summary>POSIX message queues of the calling thread's ipc namespace (man 7 mq_overview). Names are without the slash in front.</summary>
public static unsafe class MessageQueues
{
    public const uint MQUEUE_MAGIC = 0x19800202; // include/uapi/linux/magic.h

    /// <summary>MQ_PRIO_MAX, HARD_MSGMAX, HARD_MSGSIZEMAX (include/linux/ipc_namespace.h, include/uapi/linux/limits.h).</summary>
    public const int MaxPriority = 32767, HardMessages = 65536, HardSize = 16 * 1024 * 1024;

    private const int AttributesLength = 64, RLIMIT_MSGQUEUE = 12;

    private static SysResult WithName(string name, Func<nint, SysResult> call)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(name + "\0");
        return Kernel.CallWith<byte>(bytes, call);
    }

    public static SysResult Open(string name, int flags) => WithName(name, n => Kernel.Call(Syscall.mq_open, n, flags, 0, 0));
    public static SysResult Unlink(string name) => WithName(name, n => Kernel.Call(Syscall.mq_unlink, n));

    /// <summary>A new queue, for reading and writing. The caller's limit of bytes in queues, which is for what programs make, does not hold.</summary>
    public static SysResult Create(string name, long maxMessages, long messageSize)
    {
        (ulong soft, ulong hard) = ResourceLimits.Own(RLIMIT_MSGQUEUE);
        ResourceLimits.SetOwn(RLIMIT_MSGQUEUE, ulong.MaxValue, ulong.MaxValue);
        try
        {
            long[] attributes = [0, maxMessages, messageSize, 0, 0, 0, 0, 0];
            fixed (long* pointer = attributes)
            {
                nint address = (nint)pointer;
                return WithName(name, n => Kernel.Call(Syscall.mq_open, n, OpenFlags.O_RDWR | OpenFlags.O_NONBLOCK | OpenFlags.O_CREAT | OpenFlags.O_EXCL | OpenFlags.O_CLOEXEC, 0x180, address));
            }
        }
        finally
        {
            ResourceLimits.SetOwn(RLIMIT_MSGQUEUE, soft, hard);
        }
    }

    public static (SysResult Result, QueueAttributes Attributes) Attributes(int queue)
    {
        long[] attributes = new long[AttributesLength / sizeof(long)];
        SysResult result = Kernel.CallWith<long>(attributes, address => Kernel.Call(Syscall.mq_getsetattr, queue, 0, address));
        return (result, new QueueAttributes(attributes[1], attributes[2], attributes[3]));
    }

    public static SysResult Send(int queue, byte[] text, uint priority)
    {
        byte[] bytes = text.Length == 0 ? new byte[1] : text;
        return Kernel.CallWith<byte>(bytes, address => Kernel.Call(Syscall.mq_timedsend, queue, address, text.Length, (nint)priority, 0));
    }

    /// <summary>Takes all messages out of a queue that was opened with O_NONBLOCK.</summary>
    public static SysResult Empty(int queue)
    {
        (SysResult asked, QueueAttributes attributes) = Attributes(queue);
        if (asked.Failed) return asked;
        byte[] buffer = new byte[attributes.MessageSize];
        while (true)
        {
            SysResult taken = Kernel.CallWith<byte>(buffer, address => Kernel.Call(Syscall.mq_timedreceive, queue, address, buffer.Length, 0, 0));
            if (taken.Failed) return taken.Errno == Errno.EAGAIN ? new SysResult(0) : taken;
        }
    }

    /// <summary>The queues' file system of the calling thread's ipc namespace, mounted nowhere (man 2 fsmount): a directory.</summary>
    public static SysResult OpenDirectory()
    {
        const int FSOPEN_CLOEXEC = 1, FSCONFIG_CMD_CREATE = 6, FSMOUNT_CLOEXEC = 1;
        SysResult context = WithName("mqueue", name => Kernel.Call(Syscall.fsopen, name, FSOPEN_CLOEXEC));
        if (context.Failed) return context;
        using var held = new DescriptorHandle(context.Descriptor);
        SysResult made = Kernel.Call(Syscall.fsconfig, held.Number, FSCONFIG_CMD_CREATE, 0, 0, 0);
        return made.Failed ? made : Kernel.Call(Syscall.fsmount, held.Number, FSMOUNT_CLOEXEC, 0);
    }
}
