using Stasis.Linux;
using Stasis.Remote;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.TcpConnection;

/// <summary>What repair mode tells of a live socket.</summary>
internal sealed record RepairedState(TcpInfo Info, uint WriteSequence, uint ReceiveSequence, byte[] Written, byte[] Received, int Unacknowledged, int Unsent,
    int MaximumSegment, uint Timestamp, uint[] Window);

/// <summary>The calls of one look at one socket: into repair mode, all questions, and out of it again, as it was before.</summary>
internal sealed class RepairLook
{
    private readonly int _socket, _receivedRoom, _writtenRoom;
    private readonly List<(TapeCall Call, string Words)> _needed = [];
    private TapeCall? _written, _received;
    private TapeData? _info, _window, _timestamp, _segment, _unacknowledged, _unsent, _writeSequence, _receiveSequence;
    private ulong _address;

    public RepairLook(int socket, int waiting)
    {
        // A byte more than there can be shows that there was no more.
        (_socket, _receivedRoom, _writtenRoom) = (socket, waiting + 2, TcpRepair.Count(socket, TcpRepair.SIOCOUTQ) + 2);
    }

    /// <summary>Bytes for the content of both queues.</summary>
    public int Room => _receivedRoom + _writtenRoom;

    public void Ask(Tape tape, ulong address)
    {
        _address = address;
        // Leaving repair mode clears SO_REUSEADDR; an offset for looks is the program's own.
        int reuse = (int)Linux.Sockets.GetOption(_socket, SOL_SOCKET, SO_REUSEADDR).OrThrow("getsockopt(SO_REUSEADDR)");
        int offset = Linux.Sockets.GetOption(_socket, SOL_SOCKET, SO_PEEK_OFF) is { Failed: false } set ? unchecked((int)set.Value) : -1;
        TapeData off = tape.Data(TcpRepair.OffSilently), reused = tape.Data(reuse), hadOffset = tape.Data(offset), noOffset = tape.Data(-1);
        tape.Call("setsockopt(TCP_REPAIR)", Syscall.setsockopt, _socket, SOL_TCP, TcpRepair.TCP_REPAIR, tape.Data(TcpRepair.On), 4);
        // From here on nothing may end the tape before its last calls.
        if (offset >= 0) tape.Try("setsockopt(SO_PEEK_OFF)", Syscall.setsockopt, _socket, SOL_SOCKET, SO_PEEK_OFF, noOffset, 4);
        (_written, _writeSequence) = AskQueue(tape, TcpRepair.SendQueue, address, _writtenRoom);
        (_received, _receiveSequence) = AskQueue(tape, TcpRepair.ReceiveQueue, address + (ulong)_writtenRoom, _receivedRoom);
        _info = AskOption(tape, "TCP_INFO", TcpRepair.TCP_INFO, TcpInfo.Size);
        _window = AskOption(tape, "TCP_REPAIR_WINDOW", TcpRepair.TCP_REPAIR_WINDOW, TcpRepair.WindowSize);
        _timestamp = AskOption(tape, "TCP_TIMESTAMP", TcpRepair.TCP_TIMESTAMP, 4);
        _segment = AskOption(tape, "TCP_MAXSEG", TcpRepair.TCP_MAXSEG, 4);
        _unacknowledged = AskCount(tape, "SIOCOUTQ", TcpRepair.SIOCOUTQ);
        _unsent = AskCount(tape, "SIOCOUTQNSD", TcpRepair.SIOCOUTQNSD);
        if (offset >= 0) Need(tape.Try("setsockopt(SO_PEEK_OFF)", Syscall.setsockopt, _socket, SOL_SOCKET, SO_PEEK_OFF, hadOffset, 4), "setsockopt(SO_PEEK_OFF)");
        Need(tape.Try("setsockopt(TCP_REPAIR, off)", Syscall.setsockopt, _socket, SOL_TCP, TcpRepair.TCP_REPAIR, off, 4), "setsockopt(TCP_REPAIR, off)");
        Need(tape.Try("setsockopt(SO_REUSEADDR)", Syscall.setsockopt, _socket, SOL_SOCKET, SO_REUSEADDR, reused, 4), "setsockopt(SO_REUSEADDR)");
    }

    private void Need(TapeCall call, string words) => _needed.Add((call, words));

    private (TapeCall Peeked, TapeData Sequence) AskQueue(Tape tape, int queue, ulong address, int room)
    {
        Need(tape.Try("setsockopt(TCP_REPAIR_QUEUE)", Syscall.setsockopt, _socket, SOL_TCP, TcpRepair.TCP_REPAIR_QUEUE, tape.Data(queue), 4), "setsockopt(TCP_REPAIR_QUEUE)");
        TapeData sequence = AskOption(tape, "TCP_QUEUE_SEQ", TcpRepair.TCP_QUEUE_SEQ, 4);
        return (tape.Try("recvfrom(MSG_PEEK)", Syscall.recvfrom, _socket, address, room, MSG_PEEK | MSG_DONTWAIT, 0, 0), sequence);
    }

    private TapeData AskOption(Tape tape, string words, int option, int size)
    {
        TapeData value = tape.Reserve(size);
        Need(tape.Try($"getsockopt({words})", Syscall.getsockopt, _socket, SOL_TCP, option, value, tape.Data(size)), $"getsockopt({words})");
        return value;
    }

    private TapeData AskCount(Tape tape, string words, int query)
    {
        TapeData count = tape.Reserve(4);
        Need(tape.Try($"ioctl({words})", Syscall.ioctl, _socket, query, count), $"ioctl({words})");
        return count;
    }

    /// <param name="take">The bytes that a look at a queue has left at an address of the helper, with the room there was.</param>
    public RepairedState Answer(Func<TapeCall, ulong, int, byte[]> take)
    {
        foreach ((TapeCall call, string words) in _needed) call.Result.OrThrow(words);
        return new RepairedState(TcpInfo.Parse(_info!.Bytes), _writeSequence!.Read<uint>(), _receiveSequence!.Read<uint>(), take(_written!, _address, _writtenRoom),
            take(_received!, _address + (ulong)_writtenRoom, _receivedRoom), _unacknowledged!.Read<int>(), _unsent!.Read<int>(), _segment!.Read<int>(), _timestamp!.Read<uint>(),
            [.. Enumerable.Range(0, TcpRepair.WindowSize / 4).Select(i => _window!.Read<uint>(i * 4))]);
    }
}
