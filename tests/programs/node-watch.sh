# node: fs.watch and fs.watchFile, on inotify by way of an event loop.
needs=node
prepare() {
    cat >watch.js <<'END'
const fs = require('fs'), path = require('path');
fs.mkdirSync('watched', { recursive: true });
const seen = new Set(), wanted = 120;
let made = 0;
const watcher = fs.watch('watched', (type, name) => { if (name) seen.add(name); });
const nested = fs.watch('.', () => {});
function look() { for (const name of fs.readdirSync('watched')) seen.add(name); }
const timer = setInterval(() => {
  if (made < wanted) {
    fs.writeFileSync(path.join('watched', 'file' + ++made), 'x');
    return;
  }
  clearInterval(timer);
  // What the watcher itself has told of, without a look of ours: it must have told of the last files at least.
  setTimeout(() => {
    const last = [...Array(20).keys()].map(i => 'file' + (wanted - i));
    console.log('the last were told of:', last.every(name => seen.has(name)));
    look();
    console.log('files:', seen.size);
    watcher.close();
    nested.close();
  }, 500);
}, 15);
END
}
start() { exec node watch.js; }
check() { same stdout.txt stderr.txt; }
