// driven: by tests/Stasis.ProcessTests/OutsideSocketTests.cs
// A program that has asked nscd for a user, and so has its table mapped, asks again: whether it answers, is away, or has begun anew.
#include "victim.h"
#include <pwd.h>

static void ask(void)
{
    struct passwd *root = getpwnam("root"), *nobody = getpwuid(65534);
    expect(root && root->pw_uid == 0);
    expect(nobody && strcmp(nobody->pw_name, "nobody") == 0);
}

int main(void)
{
    ask();
    ask();
    FILE *maps = fopen("/proc/self/maps", "r");
    expect(maps);
    char line[512];
    bool mapped = false;
    while (fgets(line, sizeof line, maps))
        mapped = mapped || strstr(line, "/nscd/");
    fclose(maps);
    expect(mapped);
    ready();
    wait_verify();
    for (int i = 0; i < 3; i++)
        ask();
    ok();
}
