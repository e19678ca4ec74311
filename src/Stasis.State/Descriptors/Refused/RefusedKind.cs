using Stasis.Linux;
using Stasis.State.Descriptors.Sockets;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.Refused;

/// <summary>The end of the registry: whatever no kind carries, refused by its name with what to do about it. It has no record.</summary>
public sealed class RefusedKind : DescriptorKind
{
    public override string Name => "unknown";
    public override Type RecordType => typeof(RefusedKind);
    public override bool Recognizes(Sighting sighting) => true;

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        // Closed or changed since it was seen: a check looks at a tree that runs on.
        if (SocketSight.IsSocket(sighting) && !SocketSight.IsStillThere(sighting)) return;
        (string why, string advice) = Reason(sighting);
        context.Refuse(sighting, why, advice);
    }

    private const string CloseFirst = "let the program close it first";

    // Links of anonymous inodes: fs/anon_inodes.c and its callers.
    private static readonly (string Link, string Why, string Advice)[] s_anonymous =
    [
        ("anon_inode:[perf_event]", "a performance counter (perf_event_open) can't be carried: the kernel tells nobody what it counts", "end the profiler first"),
        ("anon_inode:bpf-map", "a bpf map is not carried yet: programs in the kernel may use it too", "let the program close it first"),
        ("anon_inode:bpf-prog", "a bpf program can't be carried: the kernel does not give back what was loaded into it", "let the program detach and close it first"),
        ("anon_inode:bpf", "a bpf object can't be carried: it lives in the kernel, and may be attached to it", "let the program detach and close it first"),
        ("anon_inode:kvm", "a virtual machine of KVM can't be carried", "save the machine by its own snapshot, and end it"),
        ("anon_inode:[seccomp", "a seccomp listener can't be carried", "start the program without its sandbox supervisor"),
        ("anon_inode:[landlock", "a landlock ruleset is not carried yet", CloseFirst),
        ("anon_inode:[fs", "a mount under construction is not carried yet", CloseFirst),
        ("anon_inode:[mount", "a mount handle is not carried yet", CloseFirst),
        ("anon_inode:sync_file", "a fence of a graphics device can't be carried", "let the program close its graphics device first"),
        ("anon_inode:dmabuf", "memory of a device (dma-buf) can't be carried", "let the program close the device first"),
        ("/dmabuf:", "memory of a device (dma-buf) can't be carried", "let the program close the device first"),
        ("mnt:", "a namespace handle is not carried yet", CloseFirst), ("net:", "a namespace handle is not carried yet", CloseFirst), ("pid:", "a namespace handle is not carried yet", CloseFirst),
        ("user:", "a namespace handle is not carried yet", CloseFirst), ("uts:", "a namespace handle is not carried yet", CloseFirst), ("ipc:", "a namespace handle is not carried yet", CloseFirst),
        ("cgroup:", "a namespace handle is not carried yet", CloseFirst), ("time:", "a namespace handle is not carried yet", CloseFirst),
    ];

    private static (string Why, string Advice) Reason(Sighting sighting)
    {
        if (SocketSight.IsSocket(sighting)) return SocketReason(SocketSight.Of(sighting));
        foreach ((string link, string why, string advice) in s_anonymous) if (sighting.Link.StartsWith(link, StringComparison.Ordinal)) return (why, advice);
        return sighting.Status.Type switch
        {
            FileType.CharacterDevice => ($"the device {sighting.Link} may have state of its own, which can't be carried", "let the program close the device first"),
            FileType.BlockDevice => ($"the block device {sighting.Link} is not carried", "let the program close the device first"),
            _ => ($"stasis does not know what kind of object {sighting.Link} is", CloseFirst),
        };
    }

    private const int AF_AX25 = 3, AF_KEY = 15, AF_CAN = 29, AF_BLUETOOTH = 31, AF_ALG = 38, AF_VSOCK = 40, AF_XDP = 44;

    private static (string Why, string Advice) SocketReason(SocketSight sight) => sight.Family switch
    {
        AF_NETLINK => ($"a netlink socket (protocol {sight.Protocol}) is not carried yet", "let the program close it first; many open one only for a moment, so try again"),
        AF_VSOCK => ("a socket to a virtual machine's host (AF_VSOCK) is not carried yet", "end the connection first"),
        AF_ALG => ("a socket of the kernel's cryptography (AF_ALG) is not carried yet", CloseFirst),
        AF_XDP => ("an AF_XDP socket is not carried yet", CloseFirst),
        AF_CAN or AF_BLUETOOTH or AF_KEY or AF_AX25 => ($"a socket of address family {sight.Family} is not carried yet", CloseFirst),
        AF_INET or AF_INET6 when sight.Type == SOCK_RAW => ($"a raw IP socket (protocol {sight.Protocol}) is not carried yet", CloseFirst),
        AF_INET or AF_INET6 => ($"an internet socket of protocol {sight.Protocol} is not carried yet, only TCP and UDP are", CloseFirst),
        _ => ($"a socket of address family {sight.Family} is not carried yet", CloseFirst),
    };

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        (string why, string advice) = Reason(sighting);
        throw new CaptureRefused(sighting, why, advice);
    }

    public override int Rebuild(Description description, RebuildContext context) => throw new InvariantBroken("what is refused has no record");
}

/// <summary>Files by their looks that are something else: asked before the kind of regular files, refused as the rest.</summary>
public sealed class RefusedFileKind : DescriptorKind
{
    private const uint SECRETMEM_MAGIC = 0x5345434d;

    public override string Name => "special file";
    public override Type RecordType => typeof(RefusedFileKind);
    public override bool Recognizes(Sighting sighting) => sighting.Status is { Type: FileType.Regular, DeviceMajor: 0 } && Reason(sighting) is not null;

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        if (Reason(sighting) is { } reason) context.Refuse(sighting, reason.Why, reason.Advice);
    }

    private static (string Why, string Advice)? Reason(Sighting sighting) => Files.FileSystemType($"/proc/{sighting.Pid}/fd/{sighting.Number}") switch
    {
        SECRETMEM_MAGIC => ("secret memory (memfd_secret) is not carried: what nobody but the program may read would lie in the image", "let the program close it first"),
        _ => null,
    };

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        (string why, string advice) = Reason(sighting) ?? ("it has changed meanwhile", "try again");
        throw new CaptureRefused(sighting, why, advice);
    }

    public override int Rebuild(Description description, RebuildContext context) => throw new InvariantBroken("what is refused has no record");
}
