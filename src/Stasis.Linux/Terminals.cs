namespace Stasis.Linux;

/// <summary>Terminal calls (man 2 ioctl_tty; include/uapi/asm-generic/ioctls.h) as far as pseudo-terminals need them.</summary>
public static class Terminals
{
    public const ulong TCGETS2 = 0x802C542A, TCSETS2 = 0x402C542B, TCXONC = 0x540A, TIOCEXCL = 0x540C, TIOCSCTTY = 0x540E, TIOCGPGRP = 0x540F, TIOCSPGRP = 0x5410, TIOCGWINSZ = 0x5413,
        TIOCSWINSZ = 0x5414, FIONREAD = 0x541B, TIOCPKT = 0x5420, TIOCGETD = 0x5424, TIOCGSID = 0x5429, TIOCGPTPEER = 0x5441, TIOCGLCKTRMIOS = 0x5456, TIOCSLCKTRMIOS = 0x5457,
        TIOCGPTN = 0x80045430, TIOCSPTLCK = 0x40045431, TIOCGDEV = 0x80045432, TIOCGPKT = 0x80045438, TIOCGPTLCK = 0x80045439, TIOCGEXCL = 0x80045440;

    /// <summary>An argument of TCXONC.</summary>
    public const int TCOOFF = 0;

    /// <summary>sizeof(struct termios2), struct termios as the kernel has it, struct winsize.</summary>
    public const int Termios2Size = 44, KernelTermiosSize = 36, WindowSize = 8;

    public static bool Is(int descriptor) => !Files.IoControl(descriptor, TCGETS2, new byte[Termios2Size]).Failed;

    /// <summary>cfmakeraw(3) on a struct termios2: c_iflag, c_oflag, c_cflag, c_lflag, c_line, c_cc.</summary>
    public static byte[] Raw(byte[] settings)
    {
        const uint IGNBRK = 1, BRKINT = 2, PARMRK = 8, ISTRIP = 0x20, INLCR = 0x40, IGNCR = 0x80, ICRNL = 0x100, IXON = 0x400, OPOST = 1, CSIZE = 0x30, CS8 = 0x30, PARENB = 0x100,
            ISIG = 1, ICANON = 2, ECHO = 8, ECHONL = 0x40, IEXTEN = 0x8000;
        const int InputModes = 0, OutputModes = 4, ControlModes = 8, LocalModes = 12, Characters = 17, VTIME = 5, VMIN = 6;
        byte[] raw = [.. settings];
        Change(InputModes, IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON, 0);
        Change(OutputModes, OPOST, 0);
        Change(ControlModes, CSIZE | PARENB, CS8);
        Change(LocalModes, ISIG | ICANON | ECHO | ECHONL | IEXTEN, 0);
        (raw[Characters + VTIME], raw[Characters + VMIN]) = (0, 1);
        return raw;

        void Change(int at, uint off, uint on) => BitConverter.TryWriteBytes(raw.AsSpan(at), BitConverter.ToUInt32(raw, at) & ~off | on);
    }

    /// <summary>Gives one terminal the size of another. A terminal that is gone has none.</summary>
    public static void CopySize(int from, int to)
    {
        byte[] size = new byte[WindowSize];
        if (!Files.IoControl(from, TIOCGWINSZ, size).Failed) _ = Files.IoControl(to, TIOCSWINSZ, size);
    }

    /// <summary>An ioctl that fills in an int.</summary>
    public static SysResult Get(int terminal, ulong request)
    {
        int value = 0;
        SysResult result = Files.IoControl(terminal, request, ref value);
        return result.Failed ? result : new SysResult((uint)value);
    }

    /// <summary>An ioctl that takes the address of an int.</summary>
    public static SysResult Set(int terminal, ulong request, int value) => Files.IoControl(terminal, request, ref value);

    /// <summary>The slave of a master (Linux 4.13). With O_PATH it is only looked at: the kernel counts no opening.</summary>
    public static SysResult OpenPeer(int master, int flags) => Files.IoControl(master, TIOCGPTPEER, flags);
}
