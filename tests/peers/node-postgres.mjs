// node-postgres as an agent would use it: what it sees is written as JSON lines.
import pg from 'pg';

const say = (what, value) => console.log(JSON.stringify({ what, ...value }));
const client = new pg.Client({ statement_timeout: 0 });
client.on('notice', (n) => say('notice', { message: n.message, detail: n.detail }));
await client.connect();
say('read', { rows: (await client.query('SELECT count(*)::int AS n FROM orders WHERE id < $1', [11])).rows });
try {
  await client.query('DROP TABLE orders');
} catch (e) {
  say('denied', { code: e.code, detail: e.detail, hint: e.hint });
}
say('updated', { rows: (await client.query({ name: 'credit', text: 'UPDATE customers SET credit = $1 WHERE id = $2', values: ['9007199254740993', 90] })).rowCount });
say('after', { rows: (await client.query('SELECT 1 AS one')).rows });
await client.end();
