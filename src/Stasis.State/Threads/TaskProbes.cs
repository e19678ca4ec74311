using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.State.Threads;

/// <summary>
/// What a task may have that shows nowhere from outside and can't be carried. The task is made to ask for it by calls that change nothing:
/// its own keyrings, and, for Landlock, whether it may compare itself with another process, which a Landlock domain forbids even where
/// the credentials allow it (Documentation/userspace-api/landlock.rst, "Ptrace restrictions").
/// </summary>
public sealed class TaskProbes
{
    private const int KEYCTL_GET_KEYRING_ID = 0, KEY_SPEC_THREAD_KEYRING = -1, KEY_SPEC_PROCESS_KEYRING = -2, CAP_SYS_PTRACE = 19;
    private readonly TapeCall _threadKeys, _processKeys, _init, _segments;

    public TaskProbes(Tape tape)
    {
        _threadKeys = tape.Try("keyctl(KEYCTL_GET_KEYRING_ID)", Syscall.keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0);
        _processKeys = tape.Try("keyctl(KEYCTL_GET_KEYRING_ID)", Syscall.keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0);
        _init = Compare(tape, 1);
        const int ReadLdt = 0, OneEntry = 8;
        _segments = tape.Try("modify_ldt", Syscall.modify_ldt, ReadLdt, tape.Reserve(OneEntry), OneEntry);
    }

    private static TapeCall Compare(Tape tape, int other) =>
        tape.Try("kcmp", Syscall.kcmp, tape.Call("gettid", Syscall.gettid), other, (int)Kcmp.Kind.Vm, 0, 0);

    /// <summary>After the tape has run: why the task can't be carried, and what to do; null when nothing was found.</summary>
    public (string Why, string Advice)? Judge(CredentialsRecord credentials)
    {
        if (!_threadKeys.Result.Failed || !_processKeys.Result.Failed) return ("it has a keyring of its own, which is not carried yet", "let the program revoke it first (keyctl)");
        if (!_segments.Result.Failed && _segments.Result.Value > 0) return ("it has a table of segments of its own (modify_ldt), which is not carried yet", "start the program without it (16-bit code in wine or dosemu)");
        bool mayCompare = (credentials.Effective >> CAP_SYS_PTRACE & 1) != 0;
        return mayCompare && _init.Result.Errno == Errno.EPERM ? Landlocked : null;
    }

    private static (string, string) Landlocked => ("it has confined itself (Landlock, or another security module, keeps it from looking at other processes), which can't be read and so not be carried", "start the program without its sandbox");

    /// <summary>
    /// A task without the capability may look at no process but those of its own user, so there the question takes such a peer. It is asked
    /// only of tasks with no_new_privs, without which nobody but root can confine himself.
    /// </summary>
    public static bool NeedsPeer(CredentialsRecord credentials) => credentials.NoNewPrivileges && (credentials.Effective >> CAP_SYS_PTRACE & 1) == 0;

    public static TapeCall AskPeer(Tape tape, int peer) => Compare(tape, peer);

    public static (string Why, string Advice)? JudgePeer(TapeCall asked) => asked.Result.Errno == Errno.EPERM ? Landlocked : null;
}
