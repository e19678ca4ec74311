namespace Stasis.Linux;

/// <summary>A table of the packet filter that is not there yet: the bytes that make it, and the socket that they are for.</summary>
public sealed class PreparedTable : IDisposable
{
    private readonly DescriptorHandle _netlink;
    private readonly Action<int> _confirm;

    internal PreparedTable(DescriptorHandle netlink, byte[] batch, Action<int> confirm) => (_netlink, Batch, _confirm) = (netlink, batch, confirm);

    public int Netlink => _netlink.Number;
    public byte[] Batch { get; }

    /// <summary>Whether it was made, once the batch has been written. Throws what the kernel had against it.</summary>
    public void Confirm() => _confirm(Netlink);

    public void Dispose() => _netlink.Dispose();
}
