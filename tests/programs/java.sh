# A Java virtual machine: its compilers, collectors and parks, a heap that is reserved and never filled, a thread pool with timed waits.
needs="java javac"
prepare() {
    cat >Primes.java <<'END'
import java.util.*;
import java.util.concurrent.*;

public class Primes {
    static String part(int from, int to) throws InterruptedException {
        Map<Integer, String> seen = new TreeMap<>();
        long sum = 0;
        for (int n = from; n < to; n++) {
            boolean prime = n > 1;
            for (int d = 2; d * d <= n; d++) if (n % d == 0) { prime = false; break; }
            if (prime) { sum += n; seen.put(n, Integer.toHexString(Objects.hash(n, sum))); }
            if (n % 100 == 0) Thread.sleep(1);
        }
        return from + " " + sum + " " + seen.hashCode();
    }

    public static void main(String[] arguments) throws Exception {
        ScheduledExecutorService clock = Executors.newScheduledThreadPool(1);
        CountDownLatch ticks = new CountDownLatch(5);
        clock.scheduleAtFixedRate(ticks::countDown, 10, 10, TimeUnit.MILLISECONDS);
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<String>> parts = new ArrayList<>();
        for (int i = 0; i < 160; i++) {
            int from = i * 6000;
            parts.add(pool.submit(() -> part(from, from + 6000)));
        }
        for (Future<String> part : parts) System.out.println(part.get());
        System.out.println(ticks.await(10, TimeUnit.SECONDS) ? "ticking" : "not ticking");
        pool.shutdown();
        clock.shutdownNow();
    }
}
END
    javac Primes.java
}
# Where every virtual machine keeps a file named by its process id, which is the same in every cage.
start() {
    mkdir -p /tmp/hsperfdata_root && mount -t tmpfs -o mode=755 none /tmp/hsperfdata_root
    exec java -Xmx256m Primes
}
check() { same stdout.txt stderr.txt && grep -q '^ticking$' stdout.txt; }
