using Stasis.Remote;
using Stasis.Linux;

namespace Stasis.Engine.Restart;

/// <summary>A pid, mount and ipc namespace with a minimal init, made by a blank process.</summary>
internal static class NamespaceInit
{
    private const ulong CLONE_NEWNS = 0x20000, CLONE_PARENT = 0x8000, CLONE_NEWPID = 0x20000000, CLONE_NEWIPC = 0x08000000;
    private const int MS_REC = 0x4000, MS_PRIVATE = 0x40000, MS_NOSUID = 2, MS_NODEV = 4, MS_NOEXEC = 8;

    /// <summary>The init, process 1 of the new namespace and a child of ours, with /proc mounted for it.</summary>
    public static BlankTask Make(BlankTask maker, RestartTrace trace)
    {
        var tape = new Tape();
        CloneCall.Add(tape, "clone3 into new namespaces", CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_PARENT, 0, 0);
        maker.Run(tape);
        BlankTask init = maker.TakeBorn(thread: false);
        trace.Made(init.Tid);
        var mounts = new Tape();
        TapeData root = mounts.Text("/"), proc = mounts.Text("proc"), where = mounts.Text("/proc");
        mounts.Call("mount of / as private", Syscall.mount, 0, root, 0, MS_REC | MS_PRIVATE, 0);
        mounts.Call("mount of /proc", Syscall.mount, proc, where, proc, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
        // POSIX message queues show in a file system of their ipc namespace (man 7 mq_overview).
        const string Queues = "/dev/mqueue";
        const uint MQUEUE_MAGIC = 0x19800202; // include/uapi/linux/magic.h
        if (Files.FileSystemType(Queues) == MQUEUE_MAGIC) mounts.Call($"mount of {Queues}", Syscall.mount, mounts.Text("mqueue"), mounts.Text(Queues), mounts.Text("mqueue"), MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
        init.Run(mounts);
        return init;
    }
}
