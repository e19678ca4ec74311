# python: asyncio with children watched by pidfds, in an epoll loop.
needs=python3
prepare() {
    cat >children.py <<'END'
import asyncio, os, signal, sys

async def child(number):
    process = await asyncio.create_subprocess_exec(
        sys.executable, '-S', '-c', f'import time, sys; time.sleep({0.3 + number % 7 * 0.2}); print({number} * 3); sys.exit({number} % 5)',
        stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return f'child {number} said {output.decode().strip()} and ended with {process.returncode}'

async def main():
    loop = asyncio.get_running_loop()
    kept = os.pidfd_open(os.getpid())
    sleeper = await asyncio.create_subprocess_exec('sleep', '1000')
    handle = os.pidfd_open(sleeper.pid)
    gone = loop.create_future()
    loop.add_reader(handle, lambda: (loop.remove_reader(handle), gone.set_result(True)))
    for line in await asyncio.gather(*(child(number) for number in range(12))):
        print(line)
    signal.pidfd_send_signal(handle, signal.SIGTERM)
    await asyncio.wait_for(gone, 10)
    print('the sleeper ended with', await sleeper.wait())
    print('the handle is', 'open' if os.fstat(kept) else 'closed')

if hasattr(asyncio, 'PidfdChildWatcher') and sys.version_info < (3, 12):
    asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
asyncio.run(main())
END
}
start() { exec "$python" children.py; }
check() { same stdout.txt stderr.txt; }
