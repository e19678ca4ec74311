// The same as tcp_connected_while_stopped in a program of 32 bits, which may ask for it by socketcall(2).
#ifdef __i386__
#include "tcp_connected_while_stopped.c"
#else
#include "victim.h"
int main(void)
{
    skip("this compiler makes no 32-bit programs (gcc-multilib)");
}
#endif
