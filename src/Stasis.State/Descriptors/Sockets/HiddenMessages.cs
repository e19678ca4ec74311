using Stasis.Linux;

namespace Stasis.State.Descriptors.Sockets;

/// <summary>
/// Empty messages that no look shows. A look at an offset (SO_PEEK_OFF) passes over one that has been looked at before, be it by an earlier checkpoint or
/// by the program, and that mark is never taken back (net/core/datagram.c, __skb_try_recv_from_queue, skb->peeked). The first of a queue is shown in any
/// case, by a look without an offset; the others are read where they lie.
/// </summary>
internal static class HiddenMessages
{
    /// <summary>They and their places in the queue, in its order. To be asked before the walk, which marks those that it sees.</summary>
    /// <param name="queues">The members of the struct that together are the queue.</param>
    public static List<(int Place, T Message)> Of<T>(int socket, string structure, string[] queues, Sighting sighting, ExamineContext context, Func<KernelObject, T> read)
    {
        try
        {
            KernelObject own = KernelSocket.Of(socket, structure);
            List<KernelObject> queue = [.. queues.SelectMany(member => KernelSocket.Queue(own, member))];
            return [.. Enumerable.Range(1, Math.Max(queue.Count - 1, 0)).Where(place => queue[place]["len"] == 0 && queue[place].Bit("peeked")).Select(place => (place, read(queue[place])))];
        }
        catch (KernelRefusal refusal) when (refusal.Errno is Errno.ENOSYS or Errno.EOPNOTSUPP)
        {
            context.Lose(sighting, $"messages wait to be read: an empty one behind the first, if it was looked at before (MSG_PEEK, an earlier checkpoint), can't be seen and is lost ({refusal.Call})");
            return [];
        }
    }

    /// <summary>Puts them among those that a walk has seen.</summary>
    public static void Join<T>(List<T> seen, List<(int Place, T Message)> hidden)
    {
        // Fewer are there where the walk made the kernel drop a packet that was damaged on its way.
        foreach ((int place, T message) in hidden) seen.Insert(Math.Min(place, seen.Count), message);
    }
}
