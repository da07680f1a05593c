// A reverse proxy that publishes a server under a path of its own.
//
//   node proxy.mjs --prefix /PATH [--with-parent]
//
// Prints one line of JSON when it is ready. Where the server is, it is told afterwards, by POST
// /_control/target: the server must know the proxy's address before it starts.
import * as http from 'node:http';
import { parseArgs } from 'node:util';
import { exitWithParent, listen, readBody, sendJson } from './http.mjs';

const { values: flags } = parseArgs({
  options: {
    prefix: { type: 'string' },
    'with-parent': { type: 'boolean', default: false },
  },
});

let target;

// Sends a request on as it is but for host and prefix, and the answer back as it is.
function forward(req, res, body) {
  const request = http.request(target, {
    method: req.method,
    path: req.url.slice(flags.prefix.length), // as it was sent, encoding included
    headers: { ...req.headers, host: new URL(target).host },
    timeout: 10_000,
  }, (answer) => {
    res.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(res);
  });
  request.on('timeout', () => request.destroy(new Error('no answer')));
  request.on('error', (err) => {
    console.error(err);
    res.destroy();
  });
  request.end(body);
}

const url = await listen(0, () => async (req, res) => {
  const body = await readBody(req);
  if (`${req.method} ${req.url}` === 'POST /_control/target') {
    target = JSON.parse(body).url;
    return sendJson(res, 200, {});
  }
  if (!req.url.startsWith(`${flags.prefix}/`)) {
    return sendJson(res, 404, { error: 'nothing is published here' });
  }
  return forward(req, res, body);
});

if (flags['with-parent']) {
  exitWithParent();
}
console.log(JSON.stringify({ event: 'ready', url }));
