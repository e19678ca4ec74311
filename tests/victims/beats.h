// Counters in the file `beats`, one for each thing that goes on in a busy victim, so that anybody can see that all of them do.
#ifndef BEATS_H
#define BEATS_H
#include "victim.h"

enum { MOST_BEATS = 64 };

static struct beats { atomic_ulong count[MOST_BEATS]; } *beats;
static int beats_made;

static inline void make_beats(int count)
{
    int fd = must(open("beats", O_RDWR | O_CREAT | O_TRUNC, 0666));
    must(ftruncate(fd, count * sizeof(atomic_ulong)));
    beats = mmap(NULL, sizeof *beats, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    expect(beats != MAP_FAILED);
    close(fd);
    beats_made = count;
    // Unhurried: other tests want the processors, too.
    must(setpriority(PRIO_PROCESS, 0, 5));
}

static inline void beat(int number)
{
    atomic_fetch_add(&beats->count[number], 1);
}

// Each goes on by three more at least, within a limit that only a standstill reaches.
static inline void await_beats(void)
{
    unsigned long before[MOST_BEATS];
    for (int i = 0; i < beats_made; i++)
        before[i] = atomic_load(&beats->count[i]);
    for (int i = 0; i < beats_made; i++)
        for (int tries = 0; atomic_load(&beats->count[i]) < before[i] + 3; tries++) {
            if (tries == 15000)
                fail("number %d does not go on", i);
            nap_through_signals_ms(2);
        }
}
#endif
