using Stasis.Linux;
using Stasis.State.Descriptors;
using Stasis.State.Descriptors.MessageQueue;
using Stasis.State.Processes;

namespace Stasis.State.SystemV;

/// <summary>
/// POSIX message queues that no process has open: in the ipc namespace of `stasis run` they go with the tree, and so they are in its
/// image. Elsewhere they are nobody's, as files are.
/// </summary>
internal static class IdleQueues
{
    /// <summary>Those of the tree's own namespace. Errors: <see cref="CaptureRefused"/>.</summary>
    public static QueueRecord[] Of(TreeSurvey tree)
    {
        HashSet<(uint, uint, ulong)> open = [.. tree.Processes.SelectMany(process => process.Descriptors).Select(sighting => sighting.Status.Identity)];
        List<QueueRecord> queues = [];
        int directory = -1;
        IpcNamespace.Within(tree.Root.Face, () => directory = MessageQueues.OpenDirectory().OrThrowDescriptor("fsmount of the file system of message queues"));
        using var held = new DescriptorHandle(directory);
        foreach (string name in Files.List($"/proc/self/fd/{directory}").Names)
        {
            using var queue = new DescriptorHandle(Files.OpenAt(directory, name, OpenFlags.O_RDONLY | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC).OrThrowDescriptor($"open of message queue /{name}"));
            (_, FileStatus status) = Files.Status(queue.Number);
            if (open.Contains(status.Identity)) continue;
            if (KernelSight.Unavailable() is { } why) throw Refused(tree, name, $"its messages can't be looked at: {why}", $"let the program remove it first (mq_unlink)");
            queues.Add(QueueSight.Of(Environment.ProcessId, queue.Number)?.Content(status, name, false) ?? throw Refused(tree, name, "it changed while it was read", "try again in a moment"));
        }
        return [.. queues];
    }

    private static CaptureRefused Refused(TreeSurvey tree, string name, string why, string advice) =>
        new(new Problem(tree.Root.Pid, tree.Root.Command, $"message queue /{name}", why, advice));
}
