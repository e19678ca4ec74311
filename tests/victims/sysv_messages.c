// System V message queues: what waits in them, in order, and who waits for more.
#include "victim.h"
#include <sys/ipc.h>
#include <sys/msg.h>

enum { KEY = 0x57a517 };

struct message {
    long type;
    char text[8000];
};

static void send_text(int queue, long type, const void *text, size_t length)
{
    struct message message = {.type = type};
    memcpy(message.text, text, length);
    must(msgsnd(queue, &message, length, IPC_NOWAIT));
}

static void expect_text(int queue, long asked, long type, const void *text, size_t length)
{
    struct message message;
    expect_equal(must(msgrcv(queue, &message, sizeof message.text, asked, IPC_NOWAIT)), length);
    expect_equal(message.type, type);
    expect(memcmp(message.text, text, length) == 0);
}

static void describe(int queue, char *text, size_t length)
{
    struct msqid_ds s;
    must(msgctl(queue, IPC_STAT, &s));
    snprintf(text, length, "key %x mode %o uid %u gid %u cuid %u cgid %u: %lu messages, %lu bytes of %lu", s.msg_perm.__key, s.msg_perm.mode, s.msg_perm.uid, s.msg_perm.gid,
             s.msg_perm.cuid, s.msg_perm.cgid, s.msg_qnum, s.__msg_cbytes, s.msg_qbytes);
}

int main(void)
{
    int queue = must(msgget(KEY, 0620 | IPC_CREAT | IPC_EXCL)), empty = must(msgget(IPC_PRIVATE, 0600 | IPC_CREAT)), answers = must(msgget(IPC_PRIVATE, 0600 | IPC_CREAT));
    static char large[8000];
    fill(large, sizeof large, 1);
    send_text(queue, 5, "first", 5);
    send_text(queue, 3, "", 0);
    send_text(queue, 5, large, sizeof large);
    send_text(queue, LONG_MAX, "last", 4);
    // Less than what waits.
    struct msqid_ds s;
    must(msgctl(queue, IPC_STAT, &s));
    s.msg_qbytes = 4000;
    must(msgctl(queue, IPC_SET, &s));
    send_text(answers, 1, "there", 5);
    expect_text(answers, 0, 1, "there", 5);
    pid_t child = must(fork());
    if (child == 0) {
        struct message message;
        must(msgrcv(empty, &message, sizeof message.text, -7, 0));
        send_text(answers, message.type, message.text, 3);
        _exit(0);
    }
    nap_ms(20);
    char before[256], after[256];
    describe(queue, before, sizeof before);
    ready();
    wait_verify();
    describe(queue, after, sizeof after);
    if (strcmp(before, after) != 0)
        fail("%s, was %s", after, before);
    expect_equal(must(msgget(KEY, 0)), queue);
    expect_text(queue, 3, 3, "", 0);
    expect_text(queue, 5, 5, "first", 5);
    expect_text(queue, 0, 5, large, sizeof large);
    expect_text(queue, 0, LONG_MAX, "last", 4);
    struct message none;
    expect(msgrcv(queue, &none, sizeof none.text, 0, IPC_NOWAIT) == -1 && errno == ENOMSG);
    send_text(empty, 7, "abc", 3);
    reap_success(child);
    expect_text(answers, 0, 7, "abc", 3);
    must(msgctl(empty, IPC_RMID, NULL));
    must(msgctl(answers, IPC_RMID, NULL));
    // The queue stays, with something else in it: a restart of the same image takes that back.
    send_text(queue, 9, "strange", 7);
    ok();
}
