// Small HTTP helpers that both servers share.
import * as http from 'node:http';

export async function readBody(req) {
  const chunks = [];
  for await (const chunk of req) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function sendJson(res, status, value, headers = {}) {
  const body = JSON.stringify(value);
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers });
  res.end(body);
}

// Hands the answer that a handler is about to send to `edit`, which must send it or something else.
export function interceptAnswer(res, edit) {
  const { end } = res;
  res.end = (body = '') => {
    res.end = end;
    edit(body.toString());
    return res;
  };
}

// The /_control endpoints, for whoever runs the test. They are no part of what is tested.
export function control(req, res, body, { stats, reset, faults }) {
  switch (`${req.method} ${req.url}`) {
    case 'GET /_control/stats':
      return sendJson(res, 200, { ...stats(), faults_hit: faults.hit });
    case 'POST /_control/reset':
      faults.set([]);
      reset();
      return sendJson(res, 200, {});
    case 'POST /_control/faults':
      try {
        faults.set(JSON.parse(body));
        return sendJson(res, 200, {});
      } catch (err) {
        return sendJson(res, 400, { error: err.message });
      }
    default:
      return sendJson(res, 404, { error: 'no such control' });
  }
}

// Listens on a free port of 127.0.0.1. The handler may depend on the origin, which is known only now.
export async function listen(port, makeHandler) {
  const server = http.createServer();
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const origin = `http://127.0.0.1:${server.address().port}`;
  const handler = await makeHandler(origin);
  server.on('request', (req, res) => {
    handler(req, res).catch((err) => {
      console.error(err);
      res.destroy();
    });
  });
  return origin;
}

// A child process must not outlive the program that started it, however that program ended: the
// parent holds our standard input open, and the system closes it when the parent is gone.
export function exitWithParent() {
  process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
}
