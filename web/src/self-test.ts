import { RealtimeClient } from '../../adapter/client';
import { byId, h } from './dom';
import { pathOf } from './paths';
import { adoptTokenFromUrl, currentToken, parseAnyToken } from './session';

/** Rows kept on the page. */
const ROWS_MAX = 200;

adoptTokenFromUrl();
let token = currentToken();
const client = new RealtimeClient(location.origin, { path: pathOf('events'), token: () => token });

const state = byId('state');
const rows = byId('messages');
const room = byId<HTMLInputElement>('room');

/** Everything shown is set as text: it comes from anybody. */
function show(kind: string, text: string): void {
  const time = new Date().toLocaleTimeString();
  rows.prepend(
    h('li', { class: `message ${kind}` }, h('span', { class: 'message-time' }, time), h('code', {}, text)),
  );
  while (rows.children.length > ROWS_MAX) rows.lastElementChild?.remove();
}

function tell(state_: string, good: boolean): void {
  state.textContent = state_;
  state.classList.toggle('good', good);
}

function failed(error: Error): void {
  show('bad', error.message);
}

client.lifecycle
  .on('open', () => tell('Connected', true))
  .on('close', ({ again }) => tell(again === null ? 'Closed for good' : 'Cut; it comes back', false))
  .on('gap', ({ room: missed }) => show('bad', `some events of ${missed} are lost`))
  .on('error', failed);
client.heard((message) => show('heard', JSON.stringify(message)));

function on(id: string, handle: () => void): void {
  byId<HTMLFormElement>(id).addEventListener('submit', (event) => {
    event.preventDefault();
    handle();
  });
}

on('auth-form', () => {
  token = parseAnyToken(byId<HTMLInputElement>('token').value);
  client
    .auth(() => token)
    .then(() => show('said', token === null ? 'nobody' : 'the token was shown'), failed);
});
on('join-form', () => {
  client
    .join(room.value)
    .then(({ members }) => show('said', `joined ${room.value}, ${members} in it`), failed);
});
byId('leave').addEventListener('click', () => {
  client.leave(room.value).then(() => show('said', `left ${room.value}`), failed);
});
on('emit-form', () => {
  const problem = byId('data-problem');
  const text = byId<HTMLTextAreaElement>('data').value.trim();
  problem.textContent = '';
  let data: unknown;
  try {
    data = text === '' ? undefined : JSON.parse(text);
  } catch {
    problem.textContent = 'This is no JSON.';
    return;
  }
  const began = performance.now();
  client.emit(byId<HTMLInputElement>('event').value, data, room.value).then(({ offset }) => {
    const milliseconds = (performance.now() - began).toFixed(1);
    show('said', `taken as number ${offset ?? '–'} after ${milliseconds} ms`);
  }, failed);
});
byId('clear').addEventListener('click', () => rows.replaceChildren());

interface Report {
  connections: { requested: number; opened: number };
  messages: { sent: number; deliveries: number; deliveryRatio: number; deliveriesPerSecond: number };
  roundTripMs: { p50: number; p95: number; p99: number };
  errors: string[];
}

on('stress-form', () => void load());

async function load(): Promise<void> {
  const button = byId<HTMLButtonElement>('stress');
  const problem = byId('stress-problem');
  const report = byId('stress-report');
  const number = (id: string): number => byId<HTMLInputElement>(id).valueAsNumber;
  const plan = {
    connections: number('connections'),
    messagesPerSecond: number('rate'),
    duration: number('duration'),
  };
  button.disabled = true;
  problem.textContent = '';
  try {
    const answer = await fetch('/_admin/test/websocket/stress', {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(plan),
    });
    const body = (await answer.json()) as Report & { error?: { message: string } };
    if (!answer.ok) throw new Error(body.error?.message ?? 'The server refused.');
    const { connections, messages, roundTripMs, errors } = body;
    const figures: [string, string][] = [
      ['Connections', `${connections.opened} of ${connections.requested}`],
      ['Messages', String(messages.sent)],
      ['Delivered', `${(messages.deliveryRatio * 100).toFixed(2)} %`],
      ['Deliveries per second', String(messages.deliveriesPerSecond)],
      ['Round trip p50', `${roundTripMs.p50} ms`],
      ['Round trip p95', `${roundTripMs.p95} ms`],
      ['Round trip p99', `${roundTripMs.p99} ms`],
    ];
    report.replaceChildren(
      ...figures.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
    );
    report.hidden = false;
    problem.textContent = errors.join('; ');
  } catch (error) {
    problem.textContent = error instanceof Error ? error.message : String(error);
  } finally {
    button.disabled = false;
  }
}
