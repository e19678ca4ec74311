using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.State.Threads;

/// <summary>
/// Whether a task has a session keyring (man 7 session-keyring) with keys in it, which will not be there after a restart. To ask for the
/// keyring by its special number would give one to a task that has none; a search for the name that such keyrings are made under gives
/// nothing to anybody. One under another name (`keyctl session NAME`) is not found.
/// </summary>
public sealed class SessionKeyringProbe
{
    private const int KEYCTL_SEARCH = 10, KEYCTL_READ = 11, SerialSize = 4, MostKeys = 64;
    private readonly TapeCall _keyring, _read, _own;

    public SessionKeyringProbe(Tape tape, uint uid)
    {
        _keyring = tape.Try("request_key of the session keyring", Syscall.request_key, tape.Text("keyring"), tape.Text("_ses"), 0, 0);
        _read = tape.Try("keyctl(KEYCTL_READ)", Syscall.keyctl, KEYCTL_READ, _keyring, tape.Reserve(MostKeys * SerialSize), MostKeys * SerialSize, 0);
        // pam_keyinit links the user's own keyring into it, which stays.
        _own = tape.Try("keyctl(KEYCTL_SEARCH)", Syscall.keyctl, KEYCTL_SEARCH, _keyring, tape.Text("keyring"), tape.Text($"_uid.{uid}"), 0);
    }

    /// <summary>After the tape has run: how many keys are lost.</summary>
    /// <param name="tid">For a task whose filters do not let it ask: the keys of its session keyring are counted in the kernel's memory, whatever its name.</param>
    public long Keys(int tid)
    {
        if (_keyring.Result.Errno is not (Errno.EPERM or Errno.EACCES or Errno.ENOSYS) || KernelSight.Unavailable() is not null) return Found;
        try { return (long)(KernelSight.TaskOf(tid)?.Pointed("cred", "cred")?.Pointed("session_keyring", "key")?["keys.nr_leaves_on_tree"] ?? 0); }
        catch (KernelRefusal) { return Found; }
    }

    private long Found => _keyring.Result.Failed || _read.Result.Failed ? 0 : _read.Result.Value / SerialSize - (_own.Result.Failed ? 0 : 1);
}
