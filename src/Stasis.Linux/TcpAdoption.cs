using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>What a handshake agreed on (struct bpf_tcp_req_attrs). A scale is -1 without window scaling.</summary>
/// <param name="PeerTimestamp">The last timestamp that came from the peer, and <paramref name="Timestamp"/> what our own clock for it shows now.</param>
public sealed record TcpAgreement(uint PeerTimestamp, uint Timestamp, bool Timestamps, int MaximumSegment, int SendScale, int ReceiveScale, bool SelectiveAcknowledgement, bool CongestionNotification);

/// <summary>
/// Puts connections among those that a listener has not accepted yet. No call does that for anybody but a peer who shakes hands, which gives new
/// numbers; but the kernel lets a bpf program that stands where packets come in vouch for a peer's last segment of a handshake (bpf_sk_assign_tcp_reqsk,
/// Linux 6.8: made for hosts that answer SYNs for others). So that segment is delivered by us, and the program, which sees only those with our
/// mark, says what had been agreed on.
/// </summary>
public sealed unsafe class TcpAdoption : IDisposable
{
    // The map's only value: the program's result, the addresses (struct bpf_sock_tuple), the agreement.
    private const int ResultAt = 0, TupleAt = 8, AgreementAt = 48, AgreementSize = 20, ValueSize = 72, TupleFour = 12, TupleSix = 36, PageSize = 4096, PROT_READ_WRITE = 3, MAP_SHARED = 1, LoopbackInterface = 1 /* of every network namespace (LOOPBACK_IFINDEX) */;
    private readonly DescriptorHandle _map;
    private readonly DescriptorHandle? _program, _link;
    private readonly byte* _value;

    /// <summary>Why it can't be done here; null when it can.</summary>
    public static string? Unavailable()
    {
        if (KernelSight.Unavailable() is { } why) return why;
        if (KernelSight.Function("bpf_sk_assign_tcp_reqsk"u8) == 0) return "this kernel can't be told of a handshake (Linux 6.8 can)";
        // It takes the door of SYN cookies (net/ipv4/syncookies.c).
        return Files.ReadText("/proc/sys/net/ipv4/tcp_syncookies").Text.Trim() is "0" ? "sysctl net.ipv4.tcp_syncookies is 0" : null;
    }

    /// <param name="four">Whether the segments are of IPv4.</param>
    public TcpAdoption(bool four)
    {
        _map = new DescriptorHandle(Bpf.CreateArray(ValueSize, perCpu: false).OrThrowDescriptor("bpf(MAP_CREATE)"));
        try
        {
            _value = (byte*)Kernel.Call(Syscall.mmap, 0, PageSize, PROT_READ_WRITE, MAP_SHARED, _map.Number, 0).OrThrow("mmap of a bpf map");
            _program = new DescriptorHandle(Bpf.Install(Bpf.ClassifierProgram, Code(_map.Number, four ? TupleFour : TupleSix), 0).OrThrowDescriptor("bpf(PROG_LOAD) of a program that vouches for handshakes"));
            _link = new DescriptorHandle(Bpf.AtIngress(_program.Number, LoopbackInterface).OrThrowDescriptor("bpf(LINK_CREATE) at the loopback interface"));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private static byte[] Code(int map, int tupleSize)
    {
        const int MarkOfPacket = 8, CurrentNamespace = -1, PassOn = -1; // __sk_buff.mark; BPF_F_CURRENT_NETNS; TCX_NEXT
        var code = new BpfCode();
        code.Emit(BpfCode.Move, 6, 1, 0, 0);
        code.Emit(BpfCode.Load4, 2, 6, MarkOfPacket, 0);
        code.Emit(BpfCode.IfEqual, 2, 0, 1, NfTables.Mark);
        code.Emit(BpfCode.Jump, 0, 0, 23, 0); // to the end
        code.Emit(BpfCode.LoadNumber8, 8, BpfCode.MapValue, 0, map);
        code.Emit(0, 0, 0, 0, 0);
        code.Emit(BpfCode.Move, 1, 6, 0, 0);
        code.Emit(BpfCode.Move, 2, 8, 0, 0);
        code.Emit(BpfCode.AddNumber, 2, 0, 0, TupleAt);
        code.Emit(BpfCode.MoveNumber, 3, 0, 0, tupleSize);
        code.Emit(BpfCode.MoveNumber, 4, 0, 0, CurrentNamespace);
        code.Emit(BpfCode.MoveNumber, 5, 0, 0, 0);
        code.Emit(BpfCode.Call, 0, 0, 0, BpfCode.SkcLookupTcp);
        code.Emit(BpfCode.IfEqual, 0, 0, 13, 0); // nobody listens: to the end
        code.Emit(BpfCode.Move, 7, 0, 0, 0);
        code.Emit(BpfCode.Move, 1, 7, 0, 0);
        code.Emit(BpfCode.Call, 0, 0, 0, BpfCode.SkcToTcpSock);
        code.Emit(BpfCode.IfEqual, 0, 0, 7, 0); // to the release
        code.Emit(BpfCode.Move, 1, 6, 0, 0);
        code.Emit(BpfCode.Move, 2, 0, 0, 0);
        code.Emit(BpfCode.Move, 3, 8, 0, 0);
        code.Emit(BpfCode.AddNumber, 3, 0, 0, AgreementAt);
        code.Emit(BpfCode.MoveNumber, 4, 0, 0, AgreementSize);
        code.Emit(BpfCode.Call, 0, BpfCode.KernelFunction, 0, KernelSight.Function("bpf_sk_assign_tcp_reqsk"u8));
        code.Emit(BpfCode.Store8, 8, 0, ResultAt, 0);
        code.Emit(BpfCode.Move, 1, 7, 0, 0);
        code.Emit(BpfCode.Call, 0, 0, 0, BpfCode.SkRelease);
        code.Emit(BpfCode.MoveNumber, 0, 0, 0, PassOn);
        code.Emit(BpfCode.Exit, 0, 0, 0, 0);
        return code.Bytes;
    }

    /// <summary>
    /// The connection is there as if its handshake were just over: numbers as given, nothing received or sent. Whether the listener had room for it its
    /// count of waiting clients tells. Throws <see cref="KernelRefusal"/> where the kernel does not take it.
    /// </summary>
    /// <param name="peer">struct sockaddr_in or sockaddr_in6, as <paramref name="address"/>, which is ours.</param>
    /// <param name="sequence">The first number of the peer's data; <paramref name="acknowledged"/> of ours.</param>
    /// <param name="window">The peer's window, as a segment tells it.</param>
    public void Adopt(byte[] peer, byte[] address, uint sequence, uint acknowledged, int window, TcpAgreement agreement)
    {
        var value = new Span<byte>(_value, ValueSize);
        value.Clear();
        MemoryMarshal.Write(value[ResultAt..], -(long)Errno.ENOENT);
        byte[] from = NfTables.Host(peer), to = NfTables.Host(address);
        Span<byte> tuple = value[TupleAt..];
        from.CopyTo(tuple);
        to.CopyTo(tuple[from.Length..]);
        peer.AsSpan(2, 2).CopyTo(tuple[(2 * from.Length)..]);
        address.AsSpan(2, 2).CopyTo(tuple[(2 * from.Length + 2)..]);
        // rcv_tsval, rcv_tsecr, mss, rcv_wscale, snd_wscale, ecn_ok, wscale_ok, sack_ok, tstamp_ok, then usec_ts_ok, which is never, and three reserved.
        Span<byte> told = value[AgreementAt..];
        MemoryMarshal.Write(told, agreement.PeerTimestamp);
        MemoryMarshal.Write(told[4..], agreement.Timestamp);
        MemoryMarshal.Write(told[8..], (ushort)agreement.MaximumSegment);
        bool scaled = agreement.SendScale >= 0;
        ReadOnlySpan<byte> rest = [(byte)(scaled ? agreement.ReceiveScale : 0), (byte)(scaled ? agreement.SendScale : 0), Flag(agreement.CongestionNotification), Flag(scaled), Flag(agreement.SelectiveAcknowledgement), Flag(agreement.Timestamps)];
        rest.CopyTo(told[10..]);
        TcpSegment.Deliver(peer, address, sequence, acknowledged, TcpSegment.ACK, window);
        new SysResult(Volatile.Read(ref *(long*)(_value + ResultAt))).OrThrow("bpf_sk_assign_tcp_reqsk");
    }

    private static byte Flag(bool value) => value ? (byte)1 : (byte)0;

    public void Dispose()
    {
        _link?.Dispose();
        _program?.Dispose();
        if (_value is not null) Kernel.Call(Syscall.munmap, (nint)_value, PageSize);
        _map.Dispose();
    }
}
