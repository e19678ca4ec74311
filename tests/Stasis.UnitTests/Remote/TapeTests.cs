using System.Buffers.Binary;
using Stasis.Linux;
using Stasis.Remote;
using Stasis.Remote.X64;

namespace Stasis.UnitTests.Remote;

/// <summary>The tape's bytes as the interpreter reads them (records nr, policy, a0..a5, resultTo of 64 bytes), and what is taken from those that come back.</summary>
public sealed class TapeTests
{
    private const ulong Address = 0x10001000;

    private static ulong Word(byte[] image, int record, int field) => BinaryPrimitives.ReadUInt64LittleEndian(image.AsSpan(record * 64 + field * 8));
    private static int Place(ulong address) => checked((int)(address - Address));

    /// <summary>Runs the tape as the machine code of <see cref="Interpreter"/> does; the record it ended at.</summary>
    private static ulong Interpret(byte[] image, Func<Syscall, ulong[], long> kernel)
    {
        for (ulong at = Address; ; at += 64)
        {
            int record = Place(at) / 64;
            int number = (int)Word(image, record, 0);
            if (number == Interpreter.EndOfTape) return at;
            if (number == Interpreter.CopyValue)
            {
                image.AsSpan(Place(Word(image, record, 1)), 8).CopyTo(image.AsSpan(Place(Word(image, record, 7))));
                continue;
            }
            long result = kernel((Syscall)number, [.. Enumerable.Range(1, 6).Select(field => Word(image, record, field))]);
            BinaryPrimitives.WriteInt64LittleEndian(image.AsSpan(Place(Word(image, record, 7))), result);
            if ((ulong)result > unchecked((ulong)-4096L) && Word(image, record, 0) >> 32 == 0) return at;
        }
    }

    [Fact]
    public void An_empty_tape_is_its_end()
    {
        var tape = new Tape();
        byte[] image = tape.Assemble(Address);
        Assert.Equal(Address, Interpret(image, (_, _) => throw new InvalidOperationException()));
        tape.Absorb(image, Address, Address, "nobody");
        Assert.Equal(0, tape.Count);
    }

    [Fact]
    public void Numbers_are_passed_as_the_kernel_takes_them()
    {
        var tape = new Tape();
        tape.Call("all", Syscall.mmap, -1, uint.MaxValue, long.MinValue, ulong.MaxValue, 0, int.MaxValue);
        ulong[] seen = [];
        Interpret(tape.Assemble(Address), (_, arguments) => { seen = arguments; return 0; });
        Assert.Equal([ulong.MaxValue, uint.MaxValue, 1ul << 63, ulong.MaxValue, 0, int.MaxValue], seen);
    }

    [Fact]
    public void Arguments_that_are_not_given_are_zero()
    {
        var tape = new Tape();
        tape.Call("none", Syscall.getpid);
        ulong[] seen = [1];
        Interpret(tape.Assemble(Address), (_, arguments) => { seen = arguments; return 0; });
        Assert.Equal(new ulong[6], seen);
    }

    [Fact]
    public void Results_are_put_into_data_before_the_next_call()
    {
        var tape = new Tape();
        TapeCall first = tape.Call("first", Syscall.socket), second = tape.Call("second", Syscall.dup, first);
        TapeData data = tape.Data<int>(7, 7, 7, 7);
        tape.CopyInto(data, 0, first);
        tape.CopyInto(data, 4, second);
        tape.Call("poll", Syscall.poll, data, second);
        long next = 40;
        byte[] image = tape.Assemble(Address);
        int[] seen = [];
        ulong end = Interpret(image, (number, arguments) =>
        {
            if (number == Syscall.poll) seen = [.. Enumerable.Range(0, 4).Select(i => BinaryPrimitives.ReadInt32LittleEndian(image.AsSpan(Place(arguments[0]) + i * 4)))];
            return ++next;
        });
        Assert.Equal([41, 42, 0, 7], seen);
        tape.Absorb(image, Address, end, "process 1");
        Assert.Equal([41, 42, 0, 7], Enumerable.Range(0, 4).Select(i => data.Read<int>(i * 4)));
    }

    [Fact]
    public void Results_become_arguments_of_later_calls()
    {
        var tape = new Tape();
        TapeCall first = tape.Call("first", Syscall.socket), second = tape.Try("second", Syscall.dup, first);
        TapeCall third = tape.Call("third", Syscall.dup3, second, 5, first, first);
        List<(Syscall, ulong[])> calls = [];
        long next = 40;
        byte[] image = tape.Assemble(Address);
        ulong end = Interpret(image, (number, arguments) => { calls.Add((number, arguments[..4])); return ++next; });
        Assert.Equal([Syscall.socket, Syscall.dup, Syscall.dup3], calls.Select(call => call.Item1));
        Assert.Equal([41, 0, 0, 0], calls[1].Item2);
        Assert.Equal([42, 5, 41, 41], calls[2].Item2);
        tape.Absorb(image, Address, end, "process 1");
        Assert.Equal([41, 42, 43], ((TapeCall[])[first, second, third]).Select(call => call.Result.Value));
        Assert.All([first, second, third], call => Assert.True(call.Reached));
    }

    [Fact]
    public void A_failure_that_may_be_is_a_result_and_goes_on_as_one()
    {
        var tape = new Tape();
        TapeCall may = tape.Try("may fail", Syscall.dup), after = tape.Call("after", Syscall.close, may);
        byte[] image = tape.Assemble(Address);
        ulong passed = 0;
        ulong end = Interpret(image, (number, arguments) => { passed = arguments[0]; return number == Syscall.dup ? -(long)Errno.EBADF : 0; });
        tape.Absorb(image, Address, end, "process 1");
        Assert.Equal((Errno.EBADF, 0L, unchecked((ulong)-9L)), (may.Result.Errno, after.Result.Value, passed));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_call_that_failed_is_named_and_those_behind_it_are_not_reached(int failing)
    {
        var tape = new Tape();
        List<TapeCall> calls = [];
        for (int i = 0; i < 4; i++) calls.Add(i == 0 ? tape.Call("call 0", Syscall.dup) : tape.Call($"call {i}", Syscall.dup, calls[i - 1], calls[0]));
        byte[] image = tape.Assemble(Address);
        int made = 0;
        ulong end = Interpret(image, (_, _) => made++ == failing ? -(long)Errno.EMFILE : made);
        var refusal = Assert.Throws<KernelRefusal>(() => tape.Absorb(image, Address, end, "process 7"));
        Assert.Equal(($"call {failing} in process 7: EMFILE", Errno.EMFILE), (refusal.Message, refusal.Errno));
        Assert.Equal(Enumerable.Range(0, 4).Select(i => i <= failing), calls.Select(call => call.Reached));
    }

    [Fact]
    public void A_large_value_is_no_failure()
    {
        var tape = new Tape();
        TapeCall call = tape.Call("mmap", Syscall.mmap);
        byte[] image = tape.Assemble(Address);
        tape.Absorb(image, Address, Interpret(image, (_, _) => -4096), "process 1");
        Assert.Equal(-4096, call.Result.Value);
    }

    [Fact]
    public void Data_is_aligned_and_comes_back_as_the_calls_left_it()
    {
        var tape = new Tape();
        TapeData odd = tape.Data((byte[])[1, 2, 3]), name = tape.Text("ä"), words = tape.Data<ulong>(7, 8), room = tape.Reserve(5);
        tape.Call("all", Syscall.mmap, odd, name, words, room);
        byte[] image = tape.Assemble(Address);
        ulong[] at = [];
        ulong end = Interpret(image, (_, arguments) => { at = arguments[..4]; image.AsSpan(Place(arguments[3]), 5).Fill(9); return 0; });
        Assert.All(at, address => Assert.Equal(0ul, address % 16));
        Assert.Equal([1, 2, 3], image.AsSpan(Place(at[0]), 3).ToArray());
        Assert.Equal([0xc3, 0xa4, 0], image.AsSpan(Place(at[1]), 3).ToArray());
        tape.Absorb(image, Address, end, "process 1");
        Assert.Equal((8ul, 5), (words.Read<ulong>(8), room.Length));
        Assert.Equal([9, 9, 9, 9, 9], room.Bytes);
        Assert.Equal([0xc3, 0xa4, 0], name.Bytes);
        Assert.Throws<ArgumentOutOfRangeException>(() => room.Read<ulong>());
    }

    [Fact]
    public void A_pointer_in_data_leads_to_other_data()
    {
        var tape = new Tape();
        TapeData holder = tape.Data<ulong>(1, 0, 3), target = tape.Data<int>(4711);
        tape.PointAt(holder, 8, target);
        tape.Call("clone3", Syscall.clone3, holder, target);
        byte[] image = tape.Assemble(Address);
        ulong[] seen = [];
        Interpret(image, (_, arguments) => { seen = arguments; return 0; });
        ulong[] words = [.. Enumerable.Range(0, 3).Select(i => BinaryPrimitives.ReadUInt64LittleEndian(image.AsSpan(Place(seen[0]) + i * 8)))];
        Assert.Equal([1, seen[1], 3], words);
    }

    [Fact]
    public void It_fits_into_the_size_it_tells()
    {
        Random random = new(2);
        for (int round = 0; round < 50; round++)
        {
            var tape = new Tape();
            List<TapeCall> calls = [];
            for (int i = random.Next(20); i > 0; i--)
            {
                if (random.Next(2) == 0) tape.Reserve(random.Next(40));
                calls.Add(calls.Count > 0 && random.Next(2) == 0 ? tape.Call("call", Syscall.dup, calls[random.Next(calls.Count)]) : tape.Call("call", Syscall.dup));
            }
            Assert.InRange(tape.Assemble(Address).Length, 1, tape.Size);
        }
    }

    [Fact]
    public void A_call_has_at_most_six_arguments() => Assert.Throws<InvariantBroken>(() => new Tape().Call("seven", Syscall.mmap, 1, 2, 3, 4, 5, 6, 7));

    [Fact]
    public void A_result_of_another_tape_is_no_argument()
    {
        var tape = new Tape();
        TapeCall foreign = new Tape().Call("foreign", Syscall.dup);
        tape.Call("own", Syscall.dup);
        tape.Call("use", Syscall.close, foreign);
        Assert.Throws<InvariantBroken>(() => tape.Assemble(Address));
    }

    // Two calls with a copy between them: records 0 call, 1 copy, 2 call, 3 end.
    private static (Tape, TapeCall, byte[]) TwoCalls()
    {
        var tape = new Tape();
        TapeCall first = tape.Call("first", Syscall.dup);
        tape.Call("second", Syscall.close, first);
        return (tape, first, tape.Assemble(Address));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(-64)]
    [InlineData(8)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(3 * 64 + 1)]
    [InlineData(4 * 64)]
    [InlineData(5 * 64)]
    [InlineData(64L << 31)]
    [InlineData(64L << 32)]
    [InlineData((64L << 32) + 3 * 64)]
    [InlineData(long.MaxValue)]
    [InlineData(long.MinValue)]
    public void An_end_that_the_interpreter_can_t_have_is_our_mistake(long offset)
    {
        (Tape tape, TapeCall first, byte[] image) = TwoCalls();
        Assert.Throws<InvariantBroken>(() => tape.Absorb(image, Address, unchecked(Address + (ulong)offset), "process 1"));
        Assert.False(first.Result.Failed);
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(ulong.MaxValue)]
    public void A_register_that_points_nowhere_is_our_mistake(ulong rbx)
    {
        (Tape tape, _, byte[] image) = TwoCalls();
        Assert.Throws<InvariantBroken>(() => tape.Absorb(image, Address, rbx, "process 1"));
    }
}
