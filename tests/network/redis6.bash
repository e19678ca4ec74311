# The same over IPv6.
STASIS_HOST=fd00:9::1
. "$tests/network/redis.bash"
