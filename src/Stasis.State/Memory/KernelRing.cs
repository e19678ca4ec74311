namespace Stasis.State.Memory;

/// <summary>Memory of a descriptor that is mapped: the description, and of a ring of packets where the image's copy begins in the old one, and its length.</summary>
public sealed record KernelRing(int Description, ulong From, ulong Length);
