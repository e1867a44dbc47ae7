// A receiver of Countersign's webhooks that believes nothing it has not checked (docs/spec/webhooks.md). Node 20, no packages.
//   WEBHOOK_SECRET=whsec_… [PORT=8099] node samples/webhook-receiver.mjs
// It prints each event once. Behind a proxy that ends TLS; several secrets are separated by spaces.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const secrets = (process.env.WEBHOOK_SECRET ?? '').split(' ').filter(Boolean).map(s => {
  if (!s.startsWith('whsec_')) throw new Error('WEBHOOK_SECRET begins with whsec_');
  return Buffer.from(s.slice('whsec_'.length), 'base64');
});
if (secrets.length === 0) throw new Error('WEBHOOK_SECRET is missing');

const toleranceSeconds = 5 * 60;
const rememberSeconds = 10 * 60;
const largest = 256 * 1024;
const seen = new Map(); // id → when; of a cluster this is a table that all of it shares

export function verify(headers, body, now = Date.now() / 1000) {
  const { 'webhook-id': id, 'webhook-timestamp': stamp, 'webhook-signature': signatures } = headers;
  if (!id || !/^\d{1,12}$/.test(stamp ?? '') || !signatures || Math.abs(now - Number(stamp)) > toleranceSeconds) return null;
  const signed = Buffer.concat([Buffer.from(`${id}.${stamp}.`), body]);
  const given = signatures.split(' ').filter(s => s.startsWith('v1,')).map(s => Buffer.from(s.slice(3), 'base64'));
  const good = secrets.some(secret => {
    const expected = createHmac('sha256', secret).update(signed).digest();
    return given.some(g => g.length === expected.length && timingSafeEqual(g, expected));
  });
  return good ? id : null;
}

const server = createServer(async (request, response) => {
  const answer = status => response.writeHead(status).end();
  if (request.method !== 'POST') return answer(405);
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > largest) return answer(413);
    parts.push(part);
  }

  // The bytes as they came: parsed and written again they would be others.
  const body = Buffer.concat(parts);
  const id = verify(request.headers, body);
  if (id === null) return answer(401);

  const now = Date.now() / 1000;
  for (const [old, at] of seen) if (now - at > rememberSeconds) seen.delete(old);
  if (seen.has(id)) return answer(204);
  seen.set(id, now);
  answer(204);

  const event = JSON.parse(body.toString('utf8'));
  // JSON.stringify escapes control characters; bidirectional ones are for the one who shows it.
  console.log(JSON.stringify({ id: event.id, type: event.type, subject: event.subject, index: event.data.index }));
});

server.listen(Number(process.env.PORT ?? 8099), '127.0.0.1', () => console.error(`listening on ${server.address().port}`));
