// A certified OpenID Connect provider (npm oidc-provider) for tests, on a free port of loopback unless PORT is given.
// CLIENT is the client's registration as JSON, PEOPLE {login: {groups: […], …}}. /test/person changes a person's claims.
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const people = JSON.parse(process.env.PEOPLE ?? '{}');
const client = JSON.parse(process.env.CLIENT);
const server = createServer();
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const provider = new Provider(issuer, {
    clients: [client],
    jwks: { keys: [{ ...key, kid: process.env.KID ?? 'first', use: 'sig', alg: 'RS256' }] },
    claims: { openid: ['sub'], profile: ['preferred_username', 'name'], groups: ['groups'] },
    scopes: ['openid', 'profile', 'groups', 'offline_access'],
    cookies: { keys: ['only for tests'] },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true }, backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    fetch: (url, { dispatcher, ...options }) => fetch(url, options), // loopback is what it refuses by default
    issueRefreshToken: async () => process.env.REFRESH === '1',
    rotateRefreshToken: true,
    findAccount: async (_ctx, id) => people[id] && { accountId: id, claims: async () => ({ sub: id, preferred_username: id, ...people[id] }) },
  });
  for (const event of ['backchannel.success', 'backchannel.error']) provider.on(event, (_ctx, error) => console.log(event, error?.message ?? '', error?.cause ?? ''));
  provider.on('server_error', (_ctx, error) => console.error(error));
  const answer = provider.callback();
  server.on('request', (request, response) => {
    const url = new URL(request.url, issuer);
    if (url.pathname !== '/test/person') return answer(request, response);
    const login = url.searchParams.get('login');
    if (url.searchParams.has('gone')) delete people[login];
    else people[login] = { ...people[login], ...JSON.parse(url.searchParams.get('claims')) };
    response.end();
  });
  console.log(`ready ${issuer}`);
});
