namespace Stasis.State.Memory;

/// <summary>
/// The tables of nscd, which the C library maps into programs that ask for users, groups or hosts. They belong to another program
/// and change all the time. After a restart the mapping is all zeros, which the C library takes for the table of an nscd that has
/// ended long ago: it asks for the new one, or looks for itself (glibc, nscd/nscd_helper.c, __nscd_get_map_ref).
/// </summary>
internal static class NameServiceCache
{
    public static bool Is(string path) => ((string[])["/var/cache/nscd/", "/var/db/nscd/", "/run/nscd/", "/var/run/nscd/"]).Any(directory => path.StartsWith(directory, StringComparison.Ordinal));
}
