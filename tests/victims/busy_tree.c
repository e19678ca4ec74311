// checkpoint: --save-files
// restart: --changed-files rewind
// snapshot: no it computes all the time
// A ring of processes: messages with numbers go round through pipes, each process counts them, and makes children that end with a number of
// the message's. No message is lost, comes twice or is another.
#include "beats.h"

enum { PROCESSES = 5, MESSAGES = 3, WORDS = 2000, EVERY = 16 };
struct message { uint64_t number, words[WORDS]; }; // longer than a pipe takes at once
static int pipes[PROCESSES][2];

static void read_all_of(int fd, struct message *message)
{
    for (size_t have = 0; have < sizeof *message;) {
        ssize_t got = read(fd, (char *)message + have, sizeof *message - have);
        if (got <= 0)
            fail("a read of the ring gave %zd, errno %d", got, errno);
        have += got;
    }
}

static void send_on(int fd, struct message *message, uint64_t number)
{
    message->number = number;
    fill(message->words, sizeof message->words, number);
    for (size_t sent = 0; sent < sizeof *message;) {
        ssize_t put = write(fd, (const char *)message + sent, sizeof *message - sent);
        if (put <= 0)
            fail("a write to the ring gave %zd, errno %d", put, errno);
        sent += put;
    }
}

static void make_child(uint64_t number)
{
    pid_t child = must(fork());
    if (child == 0)
        _exit(number % 100);
    int status;
    expect_equal(waitpid(child, &status, 0), child);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == (int)(number % 100));
}

// The place in the ring of this process; the numbers that it sees go up by one each, as each sends a message on with the next number of its own.
__attribute__((noreturn)) static void go_round(int place)
{
    static struct message message;
    for (uint64_t next = 1;; next++) {
        read_all_of(pipes[place][0], &message);
        if (message.number != next || !filled(message.words, sizeof message.words, next))
            fail("process %d got message %lu for %lu, or another text", place, message.number, next);
        if (next % EVERY == 0)
            make_child(next);
        // The first takes care that the ring is not stuck: it has all messages, and sends as many.
        send_on(pipes[(place + 1) % PROCESSES][1], &message, next + (place == PROCESSES - 1 ? MESSAGES : 0));
        beat(place);
    }
}

int main(void)
{
    make_beats(PROCESSES);
    for (int i = 0; i < PROCESSES; i++)
        must(pipe(pipes[i]));
    // All of them, before anybody else writes there: they fit.
    static struct message first;
    for (int i = 1; i <= MESSAGES; i++)
        send_on(pipes[0][1], &first, i);
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = must(fork());
        if (children[i] == 0) {
            // Nobody else holds an end, or the end of one would not show.
            for (int j = 0; j < PROCESSES; j++) {
                if (j != i)
                    close(pipes[j][0]);
                if (j != (i + 1) % PROCESSES)
                    close(pipes[j][1]);
            }
            go_round(i);
        }
    }
    // The pipes stay open here: at the end nobody sees that of another.
    await_beats();
    ready();
    wait_verify();
    await_beats();
    for (int i = 0; i < PROCESSES; i++) {
        must(kill(children[i], SIGKILL));
        int status;
        must(waitpid(children[i], &status, 0));
        expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    ok();
}
