using Stasis.Image;
using Stasis.Remote;
using Stasis.Remote.X64;
using Stasis.State.Memory;

namespace Stasis.Engine.Restart;

/// <summary>Finds room for the blank processes' arena that no layout of the image uses.</summary>
internal static class ArenaPlace
{
    // Room behind the arena where the kernel's own mappings are parked while they move.
    private const ulong Parking = 1024 * 1024, Needed = Arena.LengthWithStub + Parking, Lowest = 0x10000000, Highest = 0x7f0000000000;

    public static Arena Find(LoadedImage image)
    {
        // Every blank process has it at the same place, also one of 32 bits.
        ulong highest = image.Living.Any(process => process.ThirtyTwoBit) ? Compat.HighestAddress : Highest;
        ulong candidate = Lowest;
        foreach (MappingRecord mapping in image.Living.SelectMany(process => process.Mappings).OrderBy(mapping => mapping.Start))
        {
            // The stack guard gap keeps its distance below a stack.
            if (mapping.Start >= candidate + Needed + Parking) break;
            if (mapping.End + Parking > candidate) candidate = (mapping.End + Parking + 0xffff) & ~0xffffful;
        }
        if (candidate + Needed < highest) return new Arena(candidate);
        throw new BadImage("the image's address spaces leave no room for a restart");
    }
}
