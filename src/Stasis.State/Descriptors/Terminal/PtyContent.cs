using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.State.Descriptors.Terminal;

/// <summary>
/// What waits in a pseudo-terminal: output on its way to the master, keys on their way to the slave, half a typed line. The kernel shows
/// none of it without giving it away, and of half a line not even how long it is. So a process that has the master takes it and puts
/// it back, all on one tape: that runs to its end whatever becomes of us. Settings are changed meanwhile so that what is put back is
/// neither echoed nor taken for a signal nor translated.
/// </summary>
internal static class PtyContent
{
    /// <summary>The master's own buffer holds 4095 bytes (N_TTY_BUF_SIZE); what came behind them would get before those that are put back.</summary>
    public const int MostOutput = 4000;

    /// <summary>VMIN is one byte, and it tells when all keys have arrived again.</summary>
    public const int MostKeys = 255;
    public const int MostHalfLine = 4095;

    private const int InputModes = 0, OutputModes = 4, LocalModes = 12, Characters = 17, CharacterCount = 19, VTIME = 5, VMIN = 6, VSTART = 8, VSTOP = 9, PatienceMilliseconds = 1000;
    private const uint IXON = 0x400, ISIG = 1, ICANON = 2, ECHO = 8, ECHONL = 0x40, IEXTEN = 0x8000, EXTPROC = 0x10000;

    public static bool IsCanonical(byte[] termios) => (LocalModesOf(termios) & ICANON) != 0;
    private static uint LocalModesOf(byte[] termios) => BitConverter.ToUInt32(termios, LocalModes);

    /// <summary>The bytes that a raw reader would get; in canonical mode those of whole lines.</summary>
    public static int Waiting(int terminal) => Terminals.Get(terminal, Terminals.FIONREAD) is { Failed: false } waiting ? (int)waiting.Value : 0;

    /// <summary>Whether the output of a slave is stopped: there would be room otherwise, as long as not much waits at the master.</summary>
    public static bool IsStopped(Sighting? slave)
    {
        if (slave is null) return false;
        SysResult taken = ForeignDescriptor.Take(slave.Pid, slave.Number);
        if (taken.Failed) return false;
        using var own = new DescriptorHandle(taken.Descriptor);
        return (Poll.Events(own.Number) & (Poll.POLLOUT | Poll.POLLHUP)) == 0;
    }

    /// <summary>Stops it, with its settings in place: by the key for it, where it has one, as then a key lets it go on; else as a program does (man 3 tcflow).</summary>
    public static void Stop(int master, byte[] termios)
    {
        using var slave = new DescriptorHandle(PtySlaveKind.OpenPeer(master, OpenFlags.O_RDWR | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC));
        byte key = termios[Characters + VSTOP];
        if ((BitConverter.ToUInt32(termios, InputModes) & IXON) == 0 || key == 0)
        {
            Files.IoControl(slave.Number, Terminals.TCXONC, Terminals.TCOOFF).OrThrow("ioctl(TCXONC)");
            return;
        }
        Files.WriteAll(master, [key]).OrThrow("write to a terminal");
        for (int round = 0; (Poll.Events(slave.Number) & Poll.POLLOUT) != 0; round++)
        {
            InvariantBroken.Require(round < 5000, "a stopped terminal takes no output");
            Pause.Round(round);
        }
    }

    /// <summary>
    /// Settings under which bytes go in as they are. Flow control stays as it is, as the kernel starts a stopped terminal when that is
    /// switched off (n_tty_set_termios), and so does canonical mode, whose change forgets where lines end.
    /// </summary>
    private static byte[] AsTheyAre(byte[] termios, int minimum)
    {
        byte[] plain = [.. termios];
        BitConverter.TryWriteBytes(plain.AsSpan(InputModes), BitConverter.ToUInt32(termios, InputModes) & IXON);
        BitConverter.TryWriteBytes(plain.AsSpan(OutputModes), 0u);
        BitConverter.TryWriteBytes(plain.AsSpan(LocalModes), LocalModesOf(termios) & ~(ISIG | ECHO | ECHONL | IEXTEN));
        Span<byte> characters = plain.AsSpan(Characters, CharacterCount);
        characters.Clear();
        (characters[VSTART], characters[VSTOP], characters[VMIN]) = (termios[Characters + VSTART], termios[Characters + VSTOP], (byte)minimum);
        return plain;
    }

    // Reading gives back at once what there is, be it nothing.
    private static byte[] Readable(byte[] termios)
    {
        byte[] plain = AsTheyAre(termios, 0);
        BitConverter.TryWriteBytes(plain.AsSpan(LocalModes), LocalModesOf(plain) & ~ICANON);
        plain[Characters + VTIME] = 0;
        return plain;
    }

    /// <summary>Takes and puts back what waits. The slave is open in the tree, or was and is closed by now; nobody outside has it.</summary>
    public static (byte[] Input, byte[] Output) Take(Sighting master, int own, Sighting? slave, byte[] termios, bool packet, bool locked, DescriptorCaptureContext context)
    {
        int output = Waiting(own), keys = 0;
        bool halfLine = false;
        if (slave is not null)
        {
            using DescriptorHandle peer = slave.Take();
            keys = IsCanonical(termios) ? 0 : Waiting(peer.Number);
            halfLine = IsCanonical(termios) && (LocalModesOf(termios) & EXTPROC) == 0 && (Poll.Events(peer.Number) & Poll.POLLIN) == 0;
        }
        if (output == 0 && keys == 0 && !halfLine) return ([], []);
        // A slave that is locked would be spoilt by the attempt to open it: for whoever has it open it says EIO from then on (pty_open, TTY_IO_ERROR).
        bool shut = Terminals.Get(own, Terminals.TIOCGPTLCK) is { Failed: false, Value: not 0 };
        if (shut || locked || (LocalModesOf(termios) & EXTPROC) != 0)
            return output == 0 && keys == 0 ? ([], []) : throw new CaptureRefused(master, "bytes wait in its terminal, which is locked, or its settings are, or kept by a remote end", "try again when they have been read");
        var tape = new Tape();
        TapeData off = tape.Data(0), on = tape.Data(1);
        TapeCall peerCall = tape.Call("ioctl(TIOCGPTPEER)", Syscall.ioctl, master.Number, Terminals.TIOCGPTPEER, OpenFlags.O_RDWR | OpenFlags.O_NOCTTY | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC);
        // Out of packet mode, a change of settings is no news for the master, and its bytes come without a byte before them.
        if (packet) tape.Try("ioctl(TIOCPKT)", Syscall.ioctl, master.Number, Terminals.TIOCPKT, off);
        (TapeCall Read, TapeData Bytes)[] taken = keys > 0 || halfLine ? [TakeInput(tape, master.Number, peerCall, termios, keys)] : [];
        (TapeCall Read, TapeData Bytes)[] sent = output > 0 ? TakeOutput(tape, master, peerCall, termios, output) : [];
        tape.Try("ioctl(TCSETS2)", Syscall.ioctl, peerCall, Terminals.TCSETS2, tape.Data(termios));
        if (packet) tape.Try("ioctl(TIOCPKT)", Syscall.ioctl, master.Number, Terminals.TIOCPKT, on);
        tape.Try("close of a terminal", Syscall.close, peerCall);
        context.RunTape(master.Pid, tape);
        return (Join(taken), Join(sent));
    }

    private static (TapeCall, TapeData) TakeInput(Tape tape, int master, TapeCall peer, byte[] termios, int keys)
    {
        const int F_GETFD = 1;
        TapeData bytes = tape.Reserve(keys > 0 ? keys : MostHalfLine);
        tape.Try("ioctl(TCSETS2)", Syscall.ioctl, peer, Terminals.TCSETS2, tape.Data(Readable(termios)));
        TapeCall read = tape.Try("read of a terminal", Syscall.read, peer, bytes, bytes.Length);
        tape.Try("ioctl(TCSETS2)", Syscall.ioctl, peer, Terminals.TCSETS2, tape.Data(AsTheyAre(termios, keys)));
        tape.Try("write to a terminal", Syscall.write, master, bytes, read);
        // What is written arrives by a worker of the kernel. poll waits for that worker while there is no line, or fewer than VMIN keys.
        // A result is eight bytes and struct pollfd begins with four for the descriptor: so the events, POLLIN, come from a call as well
        // (FD_CLOEXEC is the same 1).
        TapeData pollfd = tape.Reserve(16);
        TapeCall pollin = tape.Try("fcntl(F_GETFD)", Syscall.fcntl, peer, F_GETFD);
        tape.CopyInto(pollfd, 0, peer);
        tape.CopyInto(pollfd, 4, pollin);
        tape.Try("poll of a terminal", Syscall.poll, pollfd, 1, keys > 0 ? PatienceMilliseconds : 0);
        return (read, bytes);
    }

    private static (TapeCall, TapeData)[] TakeOutput(Tape tape, Sighting master, TapeCall peer, byte[] termios, int output)
    {
        const int F_SETFL = 4;
        tape.Try("ioctl(TCSETS2)", Syscall.ioctl, peer, Terminals.TCSETS2, tape.Data(AsTheyAre(termios, 1)));
        tape.Try("fcntl(F_SETFL)", Syscall.fcntl, master.Number, F_SETFL, master.Flags | OpenFlags.O_NONBLOCK);
        // Its buffer is a ring: a read may end where that does.
        TapeData first = tape.Reserve(output), second = tape.Reserve(output);
        TapeCall readFirst = tape.Try("read of a terminal", Syscall.read, master.Number, first, output), readSecond = tape.Try("read of a terminal", Syscall.read, master.Number, second, output);
        tape.Try("write to a terminal", Syscall.write, peer, first, readFirst);
        tape.Try("write to a terminal", Syscall.write, peer, second, readSecond);
        tape.Try("fcntl(F_SETFL)", Syscall.fcntl, master.Number, F_SETFL, master.Flags);
        return [(readFirst, first), (readSecond, second)];
    }

    private static byte[] Join((TapeCall Read, TapeData Bytes)[] parts)
    {
        using var joined = new MemoryStream();
        foreach ((TapeCall read, TapeData bytes) in parts) if (!read.Result.Failed) joined.Write(bytes.Bytes.AsSpan(0, (int)read.Result.Value));
        return joined.ToArray();
    }

    /// <summary>Puts it into a new terminal of ours, before that gets its settings.</summary>
    public static void Fill(int master, int slave, PtyMasterRecord record)
    {
        if (record.Input.Length == 0 && record.Output.Length == 0) return;
        bool canonical = IsCanonical(record.Termios);
        Files.IoControl(master, Terminals.TCSETS2, AsTheyAre(record.Termios, Math.Clamp(record.Input.Length, 1, MostKeys))).OrThrow("ioctl(TCSETS2)");
        if (record.Output.Length > 0) Files.WriteAll(slave, record.Output).OrThrow("write to a terminal");
        if (record.Input.Length == 0) return;
        Files.WriteAll(master, record.Input).OrThrow("write to a terminal");
        for (int round = 0; ; round++)
        {
            // In canonical mode poll has waited for it; half a line does not count as waiting.
            _ = Poll.Events(slave);
            if (canonical || Waiting(slave) >= record.Input.Length) return;
            InvariantBroken.Require(round < 5000, "the bytes of a terminal arrive");
            Pause.Round(round);
        }
    }
}
