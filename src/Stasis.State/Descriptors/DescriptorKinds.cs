using Stasis.State.Descriptors.AnonymousPipe;
using Stasis.State.Descriptors.Device;
using Stasis.State.Descriptors.Directory;
using Stasis.State.Descriptors.External;
using Stasis.State.Descriptors.Fanotify;
using Stasis.State.Descriptors.Fifo;
using Stasis.State.Descriptors.InternetSocket;
using Stasis.State.Descriptors.Inotify;
using Stasis.State.Descriptors.IoUring;
using Stasis.State.Descriptors.MessageQueue;
using Stasis.State.Descriptors.NetlinkSocket;
using Stasis.State.Descriptors.OuterStream;
using Stasis.State.Descriptors.PacketSocket;
using Stasis.State.Descriptors.PidFd;
using Stasis.State.Descriptors.ProcFile;
using Stasis.State.Descriptors.Refused;
using Stasis.State.Descriptors.RegularFile;
using Stasis.State.Descriptors.Epoll;
using Stasis.State.Descriptors.EventFd;
using Stasis.State.Descriptors.SignalFd;
using Stasis.State.Descriptors.TcpConnection;
using Stasis.State.Descriptors.Terminal;
using Stasis.State.Descriptors.TimerFd;
using Stasis.State.Descriptors.UnixSocket;
using Stasis.State.Descriptors.UserFaultFd;

namespace Stasis.State.Descriptors;

/// <summary>The registry: every kind of open file description, in the order in which they are asked.</summary>
public static class DescriptorKinds
{
    public static readonly IReadOnlyList<DescriptorKind> All =
    [
        new ExternalKind(),
        new MessageQueueKind(),
        new RefusedFileKind(),
        new ProcFileKind(),
        new RegularFileKind(),
        new DirectoryKind(),
        new DeviceKind(),
        new PipeKind(),
        new PtyMasterKind(),
        new PtySlaveKind(),
        new OuterStreamKind(),
        new EventFdKind(),
        new TimerFdKind(),
        new SignalFdKind(),
        new EpollKind(),
        new InotifyKind(),
        new FanotifyKind(),
        new IoUringKind(),
        new PidFdKind(),
        new UnixSocketKind(),
        new TcpConnectionKind(),
        new InternetSocketKind(),
        new NetlinkSocketKind(),
        new PacketSocketKind(),
        new FifoKind(),
        new UserFaultFdKind(),
        new RefusedKind(),
    ];

    public static DescriptorKind? Of(Sighting sighting, ExamineContext context) => All.FirstOrDefault(kind => kind.Recognizes(sighting) && kind.Claims(sighting, context));

    /// <summary>The kind by the looks of the descriptor alone, before all others of the tree are known.</summary>
    public static DescriptorKind Alone(Sighting sighting, ExamineContext context) => All.First(kind => kind.Recognizes(sighting) && (kind is not ExternalKind || kind.Claims(sighting, context)));
    public static DescriptorKind Of(Description description) => All.First(kind => kind.RecordType == description.GetType());
}
