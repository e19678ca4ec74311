using Stasis.Linux;
using Stasis.Remote;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.UnixSocket;

/// <summary>
/// Calls that the kernel notes for SO_PEERCRED (net/unix/af_unix.c, init_peercred): each is made by a process that has the id, user
/// and group of the one who made it for the program.
/// </summary>
internal static class UnixNoted
{
    public static (int One, int Two) Pair(int type, UnixCredentials? who, RebuildContext context)
    {
        if (who is null)
        {
            (SysResult result, int one, int two) = Linux.Sockets.Pair(AF_UNIX, type);
            result.OrThrow("socketpair(AF_UNIX)");
            return (one, two);
        }
        var tape = new Tape();
        TapeData ends = tape.Reserve(8);
        tape.Call("socketpair(AF_UNIX)", Syscall.socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, ends);
        int pid = context.RunAs(Credentials(who), tape);
        (int first, int second) = (Take(pid, ends.Read<int>()), Take(pid, ends.Read<int>(4)));
        var closing = new Tape();
        foreach (int at in (int[])[0, 4]) closing.Call("close", Syscall.close, ends.Read<int>(at));
        context.RunAs(Credentials(who), closing);
        return (first, second);
    }

    private static SocketCredentials Credentials(UnixCredentials who) => new(who.Pid, who.Uid, who.Gid);
    private static int Take(int pid, int number) => ForeignDescriptor.Take(pid, number).OrThrowDescriptor($"pidfd_getfd of descriptor {number}", $"process {pid}");

    public static void Listen(int socket, int backlog, UnixCredentials? who, RebuildContext context)
    {
        if (who is null) Linux.Sockets.Listen(socket, backlog).OrThrow("listen on a UNIX socket");
        else With(socket, who, context, (tape, lent) => tape.Call("listen on a UNIX socket", Syscall.listen, lent, backlog));
    }

    /// <summary>The pid that the kernel has noted, as we see it.</summary>
    public static int Connect(int socket, UnixPlace place, string words, UnixCredentials? who, RebuildContext context)
    {
        if (who is null)
        {
            UnixNames.From(place.Directory, () => Linux.Sockets.Connect(socket, place.Address)).OrThrow(words);
            return Environment.ProcessId;
        }
        return With(socket, who, context, (tape, lent) =>
        {
            if (place.Directory is { } directory) tape.Call($"chdir to {directory}", Syscall.chdir, tape.Text(directory));
            tape.Call(words, Syscall.connect, lent, tape.Data(place.Address), place.Address.Length);
        });
    }

    // The socket is ours: the other process takes a duplicate for the call.
    private static int With(int socket, UnixCredentials who, RebuildContext context, Action<Tape, TapeCall> add)
    {
        var tape = new Tape();
        TapeCall us = tape.Call("pidfd_open of stasis", Syscall.pidfd_open, Environment.ProcessId, 0);
        TapeCall lent = tape.Call("pidfd_getfd of a UNIX socket", Syscall.pidfd_getfd, us, socket, 0);
        add(tape, lent);
        foreach (TapeCall done in (TapeCall[])[us, lent]) tape.Call("close", Syscall.close, done);
        return context.RunAs(Credentials(who), tape);
    }
}
