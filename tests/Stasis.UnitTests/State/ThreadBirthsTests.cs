using Stasis.State.Processes;
using Stasis.State.Threads;
using Stasis.UnitTests.Engine;

namespace Stasis.UnitTests.State;

public sealed class ThreadBirthsTests
{
    private static readonly PlacesRecord Elsewhere = new(new PlaceRecord("/tmp", false), new PlaceRecord("/", false), 0);

    // Threads after the first, each by its table and by the thread in whose places it stands (its own id: places of its own).
    private static ThreadBirth[]? Plan(params (int Tid, int Table, int Places)[] threads) => ThreadBirths.Plan(SampleImage.Process(100, 0, 1) with
    {
        Threads = [SampleImage.Thread(100), .. threads.Select(thread => SampleImage.Thread(thread.Tid) with
        {
            OwnTable = thread.Table,
            OwnPlaces = thread.Places == thread.Tid ? Elsewhere : null,
            SharesPlacesWith = thread.Places == thread.Tid ? 0 : thread.Places,
        })],
    });

    [Fact]
    public void Plain_threads_are_made_by_the_first() =>
        Assert.Equal([new ThreadBirth(1, -1, true, true), new ThreadBirth(2, -1, true, true)], Plan((101, 0, 0), (102, 0, 0))!);

    [Fact]
    public void A_table_of_its_own_is_not_shared_at_birth_and_one_of_another_thread_is() =>
        Assert.Equal([new ThreadBirth(1, -1, false, true), new ThreadBirth(2, 1, true, true)], Plan((101, 2, 0), (102, 2, 0))!);

    [Fact]
    public void Who_joins_two_is_made_before_the_second() =>
        Assert.Equal([new ThreadBirth(2, -1, true, false), new ThreadBirth(1, 2, false, true)], Plan((101, 2, 101), (102, 0, 101))!);

    [Fact]
    public void A_ring_can_not_be() => Assert.Null(Plan((101, 2, 101), (102, 0, 101), (103, 2, 0)));

    [Fact]
    public void A_main_thread_that_has_ended_makes_all_of_them()
    {
        ThreadBirth[]? births = ThreadBirths.Plan(SampleImage.Process(100, 0, 1) with { LeaderStatus = 0, Threads = [SampleImage.Thread(101), SampleImage.Thread(102)] });
        Assert.Equal([new ThreadBirth(0, -1, true, true), new ThreadBirth(1, -1, true, true)], births!);
    }
}
