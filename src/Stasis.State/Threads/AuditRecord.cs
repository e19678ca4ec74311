using System.Globalization;
using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.State.Threads;

/// <summary>
/// Who a task says to the audit system that its user logged in as (/proc/PID/loginuid, set once by login programs), and the number of that
/// session, which the kernel gives out itself with every login id that is set.
/// </summary>
public sealed record AuditRecord(uint Login, uint Session)
{
    public const uint Unset = uint.MaxValue;
    public static readonly AuditRecord None = new(Unset, Unset);

    /// <summary>Of a task's directory in /proc; unset in a kernel without audit.</summary>
    public static AuditRecord Of(string task) => new(Number($"{task}/loginuid"), Number($"{task}/sessionid"));

    private static uint Number(string path) => uint.TryParse(Files.ReadText(path).Text.Trim(), CultureInfo.InvariantCulture, out uint number) ? number : Unset;

    /// <summary>Only a task itself can set it; one that has been set takes CAP_AUDIT_CONTROL.</summary>
    public void Add(Tape tape, AuditRecord own)
    {
        if (Login == own.Login) return;
        byte[] text = System.Text.Encoding.ASCII.GetBytes(Login.ToString(CultureInfo.InvariantCulture));
        TapeCall file = tape.Call("open of /proc/thread-self/loginuid", Syscall.open, tape.Text("/proc/thread-self/loginuid"), OpenFlags.O_WRONLY | OpenFlags.O_CLOEXEC, 0);
        tape.Call($"write of the audit login id {Login}", Syscall.write, file, tape.Data(text), text.Length);
        tape.Call("close", Syscall.close, file);
    }
}
