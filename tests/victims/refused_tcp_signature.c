// refused: signed
// A listener whose connections must be signed (TCP MD5, RFC 2385): nobody can read its keys back.
#include "victim.h"
#include <netinet/in.h>
#include <linux/tcp.h>

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    struct tcp_md5sig key = {.tcpm_keylen = 6, .tcpm_key = "secret"};
    memcpy(&key.tcpm_addr, &address, sizeof address);
    if (setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof key) != 0)
        skip("no TCP MD5 in this kernel");
    must(bind(fd, (struct sockaddr *)&address, sizeof address));
    must(listen(fd, 3));
    ready();
    wait_verify();
    ok();
}
