using System.Buffers.Binary;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Stasis.Linux;
using Stasis.Remote.X64;
using Xunit.Abstractions;

namespace Stasis.UnitTests.Abi;

/// <summary>What we think the kernel's structs and numbers are, against what the C compiler says with the kernel's own headers.</summary>
public sealed class LayoutTests(ITestOutputHelper output)
{
    private static void Same(IReadOnlyDictionary<string, long> values, params (string Expression, long Ours)[] ours) =>
        Assert.All(ours, entry => Assert.Equal($"{entry.Expression} {values[entry.Expression]}", $"{entry.Expression} {entry.Ours}"));

    // Every field of our struct at the offset of the field of the same name.
    private static void SameFields(Type type, string name, params string[] headers)
    {
        FieldInfo[] fields = type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
        Assert.NotEmpty(fields);
        Dictionary<string, long> values = CCompiler.Values(headers, [$"sizeof(struct {name})", .. fields.Select(field => $"offsetof(struct {name}, {field.Name})")]);
        Same(values, [($"sizeof(struct {name})", Marshal.SizeOf(type)), .. fields.Select(field => ($"offsetof(struct {name}, {field.Name})", (long)Marshal.OffsetOf(type, field.Name)))]);
    }

    [CompilerFact]
    public void The_registers_are_user_regs_struct() => SameFields(typeof(UserRegisters), "user_regs_struct", "sys/user.h");

    [CompilerFact]
    public void A_message_header_is_msghdr() => SameFields(typeof(Sockets).Assembly.GetType("Stasis.Linux.SocketMessageHeader")!, "msghdr", "sys/socket.h");

    [CompilerFact]
    public void An_epoll_event_is_epoll_event() => SameFields(typeof(Epoll).GetNestedType("EpollEvent", BindingFlags.NonPublic)!, "epoll_event", "sys/epoll.h");

    [CompilerFact]
    public void The_page_scan_is_pm_scan_arg()
    {
        Type argument = typeof(PageScan).GetNestedType("pm_scan_arg", BindingFlags.NonPublic)!, region = typeof(PageScan).GetNestedType("page_region", BindingFlags.NonPublic)!;
        Assert.Equal((96, 24), (Marshal.SizeOf(argument), Marshal.SizeOf(region)));
        Dictionary<string, long> values = CCompiler.Values(["linux/fs.h"], "PAGEMAP_SCAN?PAGEMAP_SCAN", "PAGEMAP_SCAN?sizeof(struct pm_scan_arg)");
        if (values.Count == 0)
        {
            output.WriteLine("the kernel headers here are older than PAGEMAP_SCAN (Linux 6.7): only sizes were compared");
            return;
        }
        Assert.Equal(0xC0606610, values["PAGEMAP_SCAN"]);
        SameFields(argument, "pm_scan_arg", "linux/fs.h");
        SameFields(region, "page_region", "linux/fs.h");
    }

    [CompilerFact]
    public void The_rseq_configuration_is_ptrace_rseq_configuration() => SameFields(typeof(RseqConfiguration), "ptrace_rseq_configuration", "linux/ptrace.h");

    [CompilerFact]
    public void Structs_that_are_read_and_written_by_offset() => Same(
        CCompiler.Values(["linux/stat.h", "linux/sched.h", "linux/sched/types.h", "linux/prctl.h", "linux/capability.h", "linux/unix_diag.h", "linux/netlink.h", "linux/filter.h", "linux/rseq.h"],
            "sizeof(struct statx)", "offsetof(struct statx, stx_nlink)", "offsetof(struct statx, stx_uid)", "offsetof(struct statx, stx_gid)", "offsetof(struct statx, stx_mode)",
            "offsetof(struct statx, stx_ino)", "offsetof(struct statx, stx_size)", "offsetof(struct statx, stx_blocks)", "offsetof(struct statx, stx_ctime)", "offsetof(struct statx, stx_mtime)",
            "offsetof(struct statx, stx_rdev_major)", "offsetof(struct statx, stx_rdev_minor)", "offsetof(struct statx, stx_dev_major)", "offsetof(struct statx, stx_dev_minor)",
            "offsetof(struct statx_timestamp, tv_nsec)", "STATX_BASIC_STATS",
            "sizeof(struct clone_args)", "offsetof(struct clone_args, exit_signal)", "offsetof(struct clone_args, set_tid)", "offsetof(struct clone_args, set_tid_size)",
            "sizeof(struct sched_attr)", "offsetof(struct sched_attr, sched_policy)", "offsetof(struct sched_attr, sched_flags)", "offsetof(struct sched_attr, sched_nice)",
            "offsetof(struct sched_attr, sched_priority)", "offsetof(struct sched_attr, sched_runtime)", "offsetof(struct sched_attr, sched_deadline)", "offsetof(struct sched_attr, sched_period)",
            "sizeof(struct prctl_mm_map)", "offsetof(struct prctl_mm_map, start_brk)", "offsetof(struct prctl_mm_map, arg_start)", "offsetof(struct prctl_mm_map, auxv)",
            "offsetof(struct prctl_mm_map, auxv_size)", "offsetof(struct prctl_mm_map, exe_fd)",
            "_LINUX_CAPABILITY_VERSION_3", "sizeof(struct __user_cap_data_struct)", "offsetof(struct __user_cap_data_struct, permitted)", "offsetof(struct __user_cap_data_struct, inheritable)",
            "sizeof(struct unix_diag_req)", "offsetof(struct unix_diag_req, udiag_states)", "offsetof(struct unix_diag_req, udiag_show)", "sizeof(struct unix_diag_msg)",
            "offsetof(struct unix_diag_msg, udiag_type)", "offsetof(struct unix_diag_msg, udiag_state)", "offsetof(struct unix_diag_msg, udiag_ino)",
            "sizeof(struct nlmsghdr)", "offsetof(struct nlmsghdr, nlmsg_type)", "offsetof(struct nlmsghdr, nlmsg_flags)",
            "sizeof(struct sock_filter)", "sizeof(struct sock_fprog)", "offsetof(struct rseq, rseq_cs)", "offsetof(struct rseq_cs, start_ip)", "offsetof(struct rseq_cs, post_commit_offset)",
            "offsetof(struct rseq_cs, abort_ip)"),
        ("sizeof(struct statx)", 256), ("offsetof(struct statx, stx_nlink)", 16), ("offsetof(struct statx, stx_uid)", 20), ("offsetof(struct statx, stx_gid)", 24),
        ("offsetof(struct statx, stx_mode)", 28), ("offsetof(struct statx, stx_ino)", 32), ("offsetof(struct statx, stx_size)", 40), ("offsetof(struct statx, stx_blocks)", 48),
        ("offsetof(struct statx, stx_ctime)", 96), ("offsetof(struct statx, stx_mtime)", 112), ("offsetof(struct statx, stx_rdev_major)", 128), ("offsetof(struct statx, stx_rdev_minor)", 132),
        ("offsetof(struct statx, stx_dev_major)", 136), ("offsetof(struct statx, stx_dev_minor)", 140), ("offsetof(struct statx_timestamp, tv_nsec)", 8), ("STATX_BASIC_STATS", 0x7ff),
        ("sizeof(struct clone_args)", 88), ("offsetof(struct clone_args, exit_signal)", 32), ("offsetof(struct clone_args, set_tid)", 64), ("offsetof(struct clone_args, set_tid_size)", 72),
        ("sizeof(struct sched_attr)", 56), ("offsetof(struct sched_attr, sched_policy)", 4), ("offsetof(struct sched_attr, sched_flags)", 8), ("offsetof(struct sched_attr, sched_nice)", 16),
        ("offsetof(struct sched_attr, sched_priority)", 20), ("offsetof(struct sched_attr, sched_runtime)", 24), ("offsetof(struct sched_attr, sched_deadline)", 32), ("offsetof(struct sched_attr, sched_period)", 40),
        ("sizeof(struct prctl_mm_map)", 104), ("offsetof(struct prctl_mm_map, start_brk)", 32), ("offsetof(struct prctl_mm_map, arg_start)", 56), ("offsetof(struct prctl_mm_map, auxv)", 88),
        ("offsetof(struct prctl_mm_map, auxv_size)", 96), ("offsetof(struct prctl_mm_map, exe_fd)", 100),
        ("_LINUX_CAPABILITY_VERSION_3", 0x20080522), ("sizeof(struct __user_cap_data_struct)", 12), ("offsetof(struct __user_cap_data_struct, permitted)", 4), ("offsetof(struct __user_cap_data_struct, inheritable)", 8),
        ("sizeof(struct unix_diag_req)", 24), ("offsetof(struct unix_diag_req, udiag_states)", 4), ("offsetof(struct unix_diag_req, udiag_show)", 12), ("sizeof(struct unix_diag_msg)", 16),
        ("offsetof(struct unix_diag_msg, udiag_type)", 1), ("offsetof(struct unix_diag_msg, udiag_state)", 2), ("offsetof(struct unix_diag_msg, udiag_ino)", 4),
        ("sizeof(struct nlmsghdr)", 16), ("offsetof(struct nlmsghdr, nlmsg_type)", 4), ("offsetof(struct nlmsghdr, nlmsg_flags)", 6),
        ("sizeof(struct sock_filter)", 8), ("sizeof(struct sock_fprog)", 16), ("offsetof(struct rseq, rseq_cs)", 8), ("offsetof(struct rseq_cs, start_ip)", 8), ("offsetof(struct rseq_cs, post_commit_offset)", 16),
        ("offsetof(struct rseq_cs, abort_ip)", 24));

    [CompilerFact]
    public void Structs_of_the_c_library() => Same(
        CCompiler.Values(["fcntl.h", "signal.h", "sys/poll.h", "dirent.h", "sys/statfs.h", "sys/ioctl.h"],
            "sizeof(struct flock)", "offsetof(struct flock, l_whence)", "offsetof(struct flock, l_start)", "offsetof(struct flock, l_len)", "offsetof(struct flock, l_pid)", "F_WRLCK", "F_RDLCK",
            "F_SETLK", "F_SETSIG", "F_GETSIG", "F_SETOWN_EX", "F_GETOWN_EX", "sizeof(siginfo_t)", "sizeof(stack_t)", "offsetof(stack_t, ss_flags)", "offsetof(stack_t, ss_size)",
            "offsetof(struct sigevent, sigev_signo)", "offsetof(struct sigevent, sigev_notify)", "offsetof(struct sigevent, _sigev_un)", "sizeof(struct pollfd)", "offsetof(struct pollfd, revents)",
            "offsetof(struct dirent, d_reclen)", "offsetof(struct dirent, d_name)", "sizeof(struct statfs)", "sizeof(struct winsize)", "TIOCSCTTY", "TIOCSPGRP", "TIOCGPTN", "FIONREAD"),
        ("sizeof(struct flock)", 32), ("offsetof(struct flock, l_whence)", 2), ("offsetof(struct flock, l_start)", 8), ("offsetof(struct flock, l_len)", 16), ("offsetof(struct flock, l_pid)", 24), ("F_WRLCK", 1), ("F_RDLCK", 0),
        ("F_SETLK", 6), ("F_SETSIG", 10), ("F_GETSIG", 11), ("F_SETOWN_EX", 15), ("F_GETOWN_EX", 16), ("sizeof(siginfo_t)", 128), ("sizeof(stack_t)", 24), ("offsetof(stack_t, ss_flags)", 8), ("offsetof(stack_t, ss_size)", 16),
        ("offsetof(struct sigevent, sigev_signo)", 8), ("offsetof(struct sigevent, sigev_notify)", 12), ("offsetof(struct sigevent, _sigev_un)", 16), ("sizeof(struct pollfd)", 8), ("offsetof(struct pollfd, revents)", 6),
        ("offsetof(struct dirent, d_reclen)", 16), ("offsetof(struct dirent, d_name)", 19), ("sizeof(struct statfs)", 120), ("sizeof(struct winsize)", Terminals.WindowSize),
        ("TIOCSCTTY", (long)Terminals.TIOCSCTTY), ("TIOCSPGRP", (long)Terminals.TIOCSPGRP), ("TIOCGPTN", (long)Terminals.TIOCGPTN), ("FIONREAD", (long)Terminals.FIONREAD));

    [CompilerFact]
    public void Terminal_structs_and_requests_of_the_kernel() => Same(
        CCompiler.Values(["asm/termbits.h", "asm/ioctls.h", "linux/ioctl.h"], "sizeof(struct termios2)", "sizeof(struct termios)", "TCXONC", "TCOOFF", "TCGETS2", "TCSETS2", "TIOCGPTPEER", "TIOCGDEV", "TIOCGEXCL", "TIOCGPKT", "TIOCGPTLCK", "TIOCSPTLCK"),
        ("sizeof(struct termios2)", Terminals.Termios2Size), ("sizeof(struct termios)", Terminals.KernelTermiosSize), ("TCXONC", (long)Terminals.TCXONC), ("TCOOFF", Terminals.TCOOFF), ("TCGETS2", (long)Terminals.TCGETS2), ("TCSETS2", (long)Terminals.TCSETS2),
        ("TIOCGPTPEER", (long)Terminals.TIOCGPTPEER), ("TIOCGDEV", (long)Terminals.TIOCGDEV), ("TIOCGEXCL", (long)Terminals.TIOCGEXCL), ("TIOCGPKT", (long)Terminals.TIOCGPKT),
        ("TIOCGPTLCK", (long)Terminals.TIOCGPTLCK), ("TIOCSPTLCK", (long)Terminals.TIOCSPTLCK));

    [CompilerFact]
    public void System_call_numbers()
    {
        string[] names = [.. Enum.GetNames<Syscall>()];
        Dictionary<string, long> values = CCompiler.Values(["asm/unistd.h"], [.. names.Select(name => $"__NR_{name}?__NR_{name}")]);
        string[] unknown = [.. names.Where(name => !values.ContainsKey($"__NR_{name}"))];
        if (unknown.Length > 0) output.WriteLine($"newer than the kernel headers here, not compared: {string.Join(", ", unknown)}");
        Assert.True(values.Count > names.Length * 9 / 10);
        Assert.All(names.Except(unknown), name => Assert.Equal($"{name} {values[$"__NR_{name}"]}", $"{name} {(int)Enum.Parse<Syscall>(name)}"));
    }

    [CompilerFact]
    public void Error_numbers()
    {
        string[] names = [.. Enum.GetNames<Errno>().Where(name => name != "None" && !name.StartsWith("ERESTART", StringComparison.Ordinal))];
        Dictionary<string, long> values = CCompiler.Values(["asm/errno.h"], names);
        Assert.All(names, name => Assert.Equal($"{name} {values[name]}", $"{name} {(int)Enum.Parse<Errno>(name)}"));
    }

    [CompilerFact]
    public void Flags_of_open_sockets_and_signals()
    {
        FieldInfo[] constants = [.. ((Type[])[typeof(OpenFlags), typeof(SocketConstants), typeof(Signals), typeof(Epoll)]).SelectMany(type => type.GetFields())
            .Where(field => field.IsLiteral && field.Name.Any(char.IsUpper) && field.Name == field.Name.ToUpperInvariant())];
        // fcntl.h hides O_LARGEFILE (0) on 64 bit, and joins O_DIRECTORY to __O_TMPFILE; the kernel's own values are what fdinfo shows.
        string[] names = [.. constants.Select(field => field.Name).Where(name => name is not ("O_LARGEFILE" or "__O_TMPFILE"))];
        Dictionary<string, long> values = CCompiler.Values(["fcntl.h", "sys/socket.h", "signal.h", "sys/epoll.h", "netinet/in.h", "netinet/tcp.h"],
            [.. names.Where(name => !name.StartsWith("TCP_", StringComparison.Ordinal) && !name.StartsWith("SO", StringComparison.Ordinal)), .. names.Where(name => name.StartsWith("TCP_", StringComparison.Ordinal)),
             .. names.Where(name => name.StartsWith("SOCK_", StringComparison.Ordinal)), .. names.Where(name => name.StartsWith("SO_", StringComparison.Ordinal) || name.StartsWith("SOL_", StringComparison.Ordinal)).Select(name => $"{name}?{name}")]);
        Assert.True(values.Count > 60, $"only {values.Count} constants were compared");
        Assert.All(constants.Where(field => values.ContainsKey(field.Name)), field => Assert.Equal($"{field.Name} {values[field.Name]}", $"{field.Name} {Convert.ToInt64(field.GetRawConstantValue())}"));
    }

    /// <summary>The return ticket against struct rt_sigframe, read back by the compiler's offsets.</summary>
    [CompilerFact]
    public void The_signal_frame_is_rt_sigframe()
    {
        // struct rt_sigframe itself is in no exported header: pretcode, struct ucontext, struct siginfo (arch/x86/include/asm/sigframe.h).
        string[] registers = ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp", "rip", "eflags"];
        const string Context = "sizeof(char *) + offsetof(struct ucontext, ", Machine = "sizeof(char *) + offsetof(struct ucontext, uc_mcontext) + offsetof(struct sigcontext, ";
        Dictionary<string, long> at = CCompiler.Values(["asm/signal.h", "asm/siginfo.h", "asm/sigcontext.h", "asm/ucontext.h"],
            [.. registers.Select(name => $"{Machine}{name})"), $"{Machine}cs)", $"{Machine}ss)", $"{Machine}fpstate)", $"{Context}uc_flags)", $"{Context}uc_link)", $"{Context}uc_sigmask)",
             $"{Context}uc_stack.ss_size)", "UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS", "sizeof(char *) + sizeof(struct ucontext) + sizeof(siginfo_t)",
             "FP_XSTATE_MAGIC1", "FP_XSTATE_MAGIC2", "offsetof(struct _fpstate_64, sw_reserved)", "offsetof(struct _fpx_sw_bytes, magic1)", "offsetof(struct _fpx_sw_bytes, extended_size)",
             "offsetof(struct _fpx_sw_bytes, xfeatures)", "offsetof(struct _fpx_sw_bytes, xstate_size)", "FP_XSTATE_MAGIC2_SIZE"]);

        const ulong Address = 0x7ffc00001010, Restorer = 0x401234, Mask = 0x8000000000000001;
        var stopped = new UserRegisters { cs = 0x33, ss = 0x2b, orig_rax = ulong.MaxValue };
        object boxed = stopped;
        for (int i = 0; i < registers.Length; i++) typeof(UserRegisters).GetField(registers[i])!.SetValue(boxed, 0x1111UL * (ulong)(i + 1));
        stopped = (UserRegisters)boxed;
        byte[] xsave = [.. Enumerable.Range(0, 832).Select(i => (byte)i)];
        BinaryPrimitives.WriteUInt64LittleEndian(xsave.AsSpan(464), 0x2e7);
        byte[] frame = SignalFrame.Build(Address, stopped, Mask, xsave, Restorer, []);
        ulong Word(long offset) => BinaryPrimitives.ReadUInt64LittleEndian(frame.AsSpan((int)offset));
        uint Half(long offset) => BinaryPrimitives.ReadUInt32LittleEndian(frame.AsSpan((int)offset));

        Assert.Equal(Restorer, Word(0));
        for (int i = 0; i < registers.Length; i++) Assert.Equal((registers[i], 0x1111UL * (ulong)(i + 1)), (registers[i], Word(at[$"{Machine}{registers[i]})"])));
        Assert.Equal((0x33, 0x2b), (BinaryPrimitives.ReadUInt16LittleEndian(frame.AsSpan((int)at[$"{Machine}cs)"])), BinaryPrimitives.ReadUInt16LittleEndian(frame.AsSpan((int)at[$"{Machine}ss)"]))));
        Assert.Equal((ulong)at["UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS"], Word(at[$"{Context}uc_flags)"]));
        Assert.Equal((0ul, Mask), (Word(at[$"{Context}uc_link)"]), Word(at[$"{Context}uc_sigmask)"])));
        // Between 0 and MINSIGSTKSZ: do_sigaltstack refuses it, and rt_sigreturn does not mind.
        Assert.InRange(Word(at[$"{Context}uc_stack.ss_size)"]), 1ul, 2047ul);

        ulong fpstate = Word(at[$"{Machine}fpstate)"]);
        Assert.Equal(0ul, fpstate % 64);
        Assert.True(fpstate >= Address + (ulong)at["sizeof(char *) + sizeof(struct ucontext) + sizeof(siginfo_t)"], "the extended state overlaps the frame");
        long area = (long)(fpstate - Address), software = area + at["offsetof(struct _fpstate_64, sw_reserved)"];
        Assert.Equal((uint)at["FP_XSTATE_MAGIC1"], Half(software + at["offsetof(struct _fpx_sw_bytes, magic1)"]));
        Assert.Equal((uint)xsave.Length + (uint)at["FP_XSTATE_MAGIC2_SIZE"], Half(software + at["offsetof(struct _fpx_sw_bytes, extended_size)"]));
        Assert.Equal((0x2e7ul, (uint)xsave.Length), (Word(software + at["offsetof(struct _fpx_sw_bytes, xfeatures)"]), Half(software + at["offsetof(struct _fpx_sw_bytes, xstate_size)"])));
        Assert.Equal((uint)at["FP_XSTATE_MAGIC2"], Half(area + xsave.Length));
        Assert.Equal(xsave[..464], frame.AsSpan((int)area, 464).ToArray());
        Assert.Equal(xsave[512..], frame.AsSpan((int)area + 512, xsave.Length - 512).ToArray());
        for (ulong address = 0x1000; address < 0x1100; address += 16)
            Assert.InRange(SignalFrame.Build(address, stopped, Mask, xsave, Restorer, []).Length, 1, SignalFrame.Size(xsave.Length));
    }
}
