// What the pages can not do by themselves: stay fresh, count down, listen to keys. Everything works without it.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- time: the same words as the server's ----

export function span(seconds) {
  seconds = Math.max(0, Math.floor(seconds));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds % 86400 / 3600)} h`;
}

function tick() {
  const now = Date.now();
  for (const time of $$('time[data-until]')) {
    const left = (Date.parse(time.dataset.until) - now) / 1000;
    write(time, left > 0 ? span(left) : 'over');
  }
  for (const time of $$('time[data-since]')) write(time, `${span((now - Date.parse(time.dataset.since)) / 1000)} ago`);
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

setInterval(tick, 1000);
tick();

// ---- freshness: the server says that something changed, and the page asks for itself ----

const from = document.body.dataset.liveFrom;
const only = document.body.dataset.review;
let asking = false, again = false;

// Times run by themselves: a region is new when anything else in it is.
const bare = region => region.outerHTML.replace(/(<time[^>]*>)[^<]*/g, '$1').replace(/ class="card new"/g, ' class="card"').replace(/ open=""/g, '');

async function refresh() {
  if (asking) { again = true; return; }
  asking = true;
  try {
    do {
      again = false;
      const answer = await fetch(location.pathname + location.search, { headers: { accept: 'text/html' }, redirect: 'manual' });
      if (answer.type === 'opaqueredirect') { location.reload(); return; }
      if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    } while (again);
  } catch {
    // The next event, or the stream's own reconnecting, asks again.
  } finally {
    asking = false;
  }
}

function take(fresh) {
  const known = new Set($$('[data-id]').map(card => card.dataset.id));
  const active = document.activeElement?.closest('[data-id], [data-key]');
  for (const region of $$('[data-live]')) {
    const next = $(`[data-live="${region.dataset.live}"]`, fresh);
    if (!next || bare(region) === bare(next)) continue;
    keep(region, next);
    region.replaceWith(document.adoptNode(next));
  }
  document.title = fresh.title;
  for (const card of $$('[data-id]')) if (!known.has(card.dataset.id)) card.classList.add('new');
  const arrived = $$('section[data-live="mine"] [data-id].new').filter(card => !known.has(card.dataset.id));
  if (arrived.length) say(`New: ${arrived.map(card => card.dataset.say).join('; ')}`);
  if (only && $('[data-live="head"] .pill')) say($('[data-live="head"] .pill').textContent);
  if (active && !active.isConnected) {
    const back = active.dataset.id ? $(`[data-id="${active.dataset.id}"]`) : $(`[data-key="${active.dataset.key}"]`);
    back?.focus({ preventScroll: true });
  }
  tick();
}

// What the reader has written or opened stays as it is.
function keep(old, next) {
  for (const field of $$('textarea[name]', old)) {
    const same = $(`textarea[name="${field.name}"]`, next);
    if (same) same.value = field.value;
  }
  for (const field of $$('input[name]:not([type=hidden])', old)) {
    const same = $(`input[name="${field.name}"]`, next);
    if (same) [same.value, same.checked] = [field.value, field.checked];
  }
  const places = $$('details', next);
  $$('details', old).forEach((details, i) => { if (places[i]) places[i].open = details.open; });
}

let last = '';
function say(text) {
  if (text === last) return;
  last = text;
  $('#said').textContent = text;
}

if (from && 'EventSource' in window) {
  const lastLook = document.body.classList.contains('confirming');

  // What happened between the page and the stream, and between two streams, is in the page that is asked for now.
  const hello = () => { $('#stale').hidden = true; if (!lastLook) refresh(); };
  const changed = event => {
    if (only && event.data !== only) return;
    if (lastLook) { const changed = $('#changed'); if (changed) changed.hidden = false; return; }
    refresh();
  };

  // A page about a decision says when it can no longer follow it. A stream that was refused is asked for again; one whose
  // session is over leads to signing in, which the page learns as it asks for itself.
  let stream;
  const follow = () => {
    stream = new EventSource(from);
    stream.addEventListener('hello', hello);
    stream.addEventListener('review', changed);
    stream.addEventListener('error', () => {
      const closed = stream.readyState === EventSource.CLOSED;
      setTimeout(() => { if (stream.readyState !== EventSource.OPEN) $('#stale').hidden = false; }, 3000);
      if (!closed) return;
      if (!lastLook) refresh();
      setTimeout(follow, 5000);
    });
  };
  follow();
  addEventListener('pagehide', () => stream.close());
}
addEventListener('pageshow', event => { if (event.persisted) location.reload(); });

// ---- keys ----

function move(step) {
  const items = $$('[data-item]').filter(item => item.offsetParent !== null);
  if (!items.length) return;
  const at = items.indexOf(document.activeElement);
  items[at < 0 ? (step > 0 ? 0 : items.length - 1) : Math.min(items.length - 1, Math.max(0, at + step))].focus();
}

const keys = {
  j: () => move(1),
  k: () => move(-1),
  i: () => location.assign('/'),
  '?': () => $('#help')?.showModal(),
  c: () => { const comment = $('.comment'); if (comment) { comment.open = true; $('textarea', comment).focus(); } },
  a: () => decide('a'),
  d: () => decide('d'),
};

function decide(key) {
  const button = $(`button[data-key="${key}"]`);
  // Only the way to the last look is opened by a key; whatever decides is focused, for Enter to press.
  if (button) { if (key === 'a' && !button.dataset.step) button.click(); else button.focus(); return; }
  const item = document.activeElement?.closest('a[data-item]');
  if (item) location.assign(`${item.href}#decide-${key}`);
}

addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest('input, textarea, select, dialog[open]')) {
    if (event.key === 'Escape') event.target.blur();
    return;
  }
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// From the inbox by `a` or `d`: the button is under the finger, and not pressed.
const wanted = /^#decide-([ad])$/.exec(location.hash);
if (wanted) $(`button[data-key="${wanted[1]}"]`)?.focus();

// A second press while the first is on its way is no second answer.
addEventListener('submit', event => {
  const { submitter } = event;
  if (event.defaultPrevented || !submitter || submitter.form?.method === 'dialog') return;
  setTimeout(() => { for (const button of $$('button', submitter.form)) button.disabled = true; });
});

// ---- signing in: what follows `#` in the link is sent to no server, so it is read here ----

const post = (path, body) => fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
const problem = async answer => (await answer.json().catch(() => ({}))).detail ?? 'it did not work; try again';

const signin = $('[data-signin]');
signin?.addEventListener('submit', async event => {
  event.preventDefault();
  const said = $('[data-signin-said]');
  const target = signin.elements.return.value;
  if (target) sessionStorage.setItem('return', target);
  const answer = await post('/api/v1/login/begin', { user: signin.elements.user.value.trim(), web: true });
  said.textContent = answer.ok ? 'If you are a user here, the terminal of `countersign serve` shows a link for you now. Open it in this browser, within five minutes.' : await problem(answer);
  said.hidden = false;
});

const link = $('[data-link]');
if (link) {
  const given = new URLSearchParams(location.hash.slice(1));
  const [user, code] = [given.get('user'), given.get('code')];
  history.replaceState(null, '', location.pathname);
  const said = $('[data-link-said]'), button = $('button', link);
  if (user && code) {
    said.textContent = `Sign in to Countersign as ${user}?`;
    button.hidden = false;
    button.addEventListener('click', async () => {
      button.disabled = true;
      const answer = await post('/api/v1/login/complete', { user, code, web: true });
      if (answer.ok) {
        const back = sessionStorage.getItem('return') ?? '/';
        sessionStorage.removeItem('return');
        // Only a path of this server: the browser reads it as the server would.
        const at = new URL(back, location.origin);
        location.replace(at.origin === location.origin ? at.pathname + at.search : '/');
        return;
      }
      said.textContent = await problem(answer);
      button.hidden = true;
      $('[data-link-again]').hidden = false;
    });
  } else {
    said.textContent = 'This page is opened by the link from the terminal.';
    $('[data-link-again]').hidden = false;
  }
}

// ---- passkeys: the browser's part; what it brings is judged by the server ----

const encode = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const decode = text => Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0));

async function sign(challenge, rpId, ids) {
  const publicKey = { challenge, rpId, allowCredentials: ids.map(id => ({ type: 'public-key', id: decode(id) })), userVerification: 'required', timeout: 120000 };
  const { rawId, response } = await navigator.credentials.get({ publicKey });
  const assertion = { credentialId: encode(rawId), authenticatorData: encode(response.authenticatorData), clientData: encode(response.clientDataJSON), signature: encode(response.signature) };
  return { assertion, userHandle: response.userHandle ? encode(response.userHandle) : '' };
}

// What goes wrong with an authenticator is said where the reader is, and the button is his again.
async function withPasskey(button, said, act) {
  button.disabled = true;
  said.hidden = true;
  try {
    await act();
  } catch (error) {
    said.textContent = !window.PublicKeyCredential ? 'This browser has no passkeys, or gives them to no page at this address.'
      : error.name === 'NotAllowedError' ? 'Nothing was signed: you declined, it took too long, or no passkey fits.'
      : error.name === 'InvalidStateError' ? 'This device has a passkey of yours already.'
      : error.message;
    said.hidden = false;
    button.disabled = false;
  }
}

// The challenge is made here, of the statement that stands in the form: the server can not have something else signed.
const seal = $('input[data-passkey]');
seal?.form.addEventListener('submit', event => {
  const { form } = seal;
  event.preventDefault();
  withPasskey(event.submitter ?? $('button', form), $('[data-passkey-said]', form), async () => {
    const challenge = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(form.elements.statement.value));
    seal.value = JSON.stringify((await sign(challenge, seal.dataset.rp, seal.dataset.passkey.split(' '))).assertion);
    form.submit();
  });
});

const registering = $('form[data-passkey-new]');
registering?.addEventListener('submit', event => {
  event.preventDefault();
  const change = async (path, body) => {
    const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json', 'countersign-csrf': registering.elements.csrf.value }, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(await problem(answer));
    return answer.json();
  };
  withPasskey($('button', registering), $('[data-passkey-said]', registering), async () => {
    const wish = await change('/api/v1/me/passkeys/begin', {});
    const { response } = await navigator.credentials.create({ publicKey: {
      challenge: decode(wish.challenge), attestation: 'none', timeout: 120000,
      rp: { id: wish.rpId, name: 'Countersign' },
      user: { id: decode(wish.userHandle), name: wish.userName, displayName: wish.userName },
      pubKeyCredParams: [-7, -8, -257].map(alg => ({ type: 'public-key', alg })),
      authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
      excludeCredentials: wish.known.map(id => ({ type: 'public-key', id: decode(id) })),
    } });
    await change('/api/v1/me/passkeys', { name: registering.elements.name.value, clientData: encode(response.clientDataJSON), attestation: encode(response.attestationObject) });
    location.reload();
  });
});

const entering = $('button[data-passkey-login]');
entering?.addEventListener('click', () => withPasskey(entering, $('[data-passkey-said]'), async () => {
  const begun = await post('/api/v1/login/passkey/begin', {});
  if (!begun.ok) throw new Error(await problem(begun));
  const { challenge, rpId } = await begun.json();
  const answer = await post('/api/v1/login/passkey/complete', await sign(decode(challenge), rpId, []));
  if (!answer.ok) throw new Error(await problem(answer));
  const at = new URL(entering.dataset.passkeyLogin, location.origin);
  location.replace(at.origin === location.origin ? at.pathname + at.search : '/');
}));
