# node: a just-in-time compiler, its helper threads, worker threads with shared memory, timers, an event loop on epoll.
needs=node
prepare() {
    cat >compute.js <<'END'
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');
const crypto = require('crypto'), zlib = require('zlib'), fs = require('fs');
function compute(seed, turns) {
  let state = seed, map = new Map();
  for (let i = 0; i < turns; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    const key = 'k' + state % 5003;
    map.set(key, (map.get(key) || 0) + (state % 97) / 7);
  }
  return [...map].sort().map(([k, v]) => k + '=' + v.toFixed(6)).join(' ');
}
if (!isMainThread) {
  const shared = new Int32Array(workerData.shared);
  for (let part = 0; part < workerData.parts; part++) {
    const text = compute(workerData.seed * 1000 + part, 150000);
    Atomics.add(shared, 0, 1);
    parentPort.postMessage({ seed: workerData.seed, part, hash: crypto.createHash('sha256').update(text).digest('hex') });
  }
} else {
  const shared = new SharedArrayBuffer(4), lines = [], parts = 30, sizes = fs.openSync('sizes', 'a');
  let ticks = 0, ended = 0;
  const timer = setInterval(() => ticks++, 5);
  for (let seed = 1; seed <= 3; seed++) {
    const worker = new Worker(__filename, { workerData: { seed, parts, shared } });
    worker.on('message', m => {
      lines.push(`${m.seed} ${String(m.part).padStart(3)} ${m.hash}`);
      zlib.deflate(Buffer.alloc(300000, m.hash), (error, data) => { if (error) throw error; fs.writeSync(sizes, data.length + '\n'); });
    });
    worker.on('error', e => { throw e; });
    worker.on('exit', () => {
      if (++ended < 3) return;
      clearInterval(timer);
      console.log(lines.sort().join('\n'));
      console.log('parts', new Int32Array(shared)[0], ticks > 20 ? 'ticking' : 'not ticking');
    });
  }
}
END
}
start() { exec node compute.js; }
check() { same stdout.txt stderr.txt && cmp <(sort sizes) <(sort ../reference/sizes); }
