// The TypeScript SDK as a client that a test drives: one JSON command a line on its input, one JSON answer a line on its output.
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

const [url, key, ...command] = process.argv.slice(2);
const client = new Client({ name: 'peer', version: '1' }, { capabilities: {} });
const transport = url === 'stdio'
  ? new StdioClientTransport({ command: key, args: command, env: process.env })
  : new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${key}` } } });
const say = line => process.stdout.write(JSON.stringify(line) + '\n');
const running = new Map();

client.fallbackNotificationHandler = async notification => say({ notification: notification.method });
await client.connect(transport);
say({ connected: true, server: client.getServerVersion()?.name, version: transport.protocolVersion });

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params, progress } = JSON.parse(line);
  if (method === 'abort') {
    running.get(params.id)?.abort();
    continue;
  }
  const abort = new AbortController();
  running.set(id, abort);
  const options = { signal: abort.signal, timeout: 120_000, resetTimeoutOnProgress: true };
  if (progress) options.onprogress = p => say({ id, progress: p.message ?? String(p.progress) });
  const work = method === 'tools/list' ? client.listTools() : method === 'tools/call' ? client.callTool(params, undefined, options)
    : method === 'resources/list' ? client.listResources() : method === 'resources/read' ? client.readResource(params)
    : method === 'prompts/list' ? client.listPrompts() : method === 'prompts/get' ? client.getPrompt(params) : method === 'ping' ? client.ping() : Promise.reject(new Error(`no ${method}`));
  work.then(result => say({ id, result }), error => say({ id, error: String(error.message ?? error), code: error.code }));
}
await client.close();
