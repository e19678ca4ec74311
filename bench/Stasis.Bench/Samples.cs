namespace Stasis.Bench;

/// <summary>One figure, measured several times.</summary>
internal sealed class Samples
{
    private readonly List<double> values = [];

    public void Add(double value) => values.Add(value);

    public double Median => MedianOf(values);

    /// <summary>The median of the ratios round by round: what disturbed the machine in a round disturbed both.</summary>
    public double RatioTo(Samples limit) => MedianOf([.. values.Zip(limit.values, (value, other) => value / other)]);

    private static double MedianOf(List<double> list)
    {
        if (list.Count == 0) return double.NaN;
        var sorted = list.Order().ToArray();
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
