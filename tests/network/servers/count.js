// Counts the requests of each caller and answers with the hash of what was sent; see `count` in client.py.
const crypto = require('crypto');
const counts = new Map();
// Nobody is sent away for having been silent.
const patience = { keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0 };
require('http').createServer(patience, (request, response) => {
  const parts = [];
  request.on('data', part => parts.push(part));
  request.on('end', () => {
    const caller = request.url.slice(1), count = (counts.get(caller) ?? 0) + 1;
    counts.set(caller, count);
    const answer = `${caller} ${count} ${crypto.createHash('sha256').update(Buffer.concat(parts)).digest('hex')}`;
    response.writeHead(200, { 'Content-Length': answer.length });
    response.end(answer);
  });
}).listen(Number(process.argv[2]), '0.0.0.0');
