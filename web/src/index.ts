import { Api, ApiError, explain, type Me, type RecordSummary } from './api';
import { byId, h } from './dom';
import { fullDate, relativeDate } from './relative-date';
import { adoptTokenFromUrl, currentToken, forgetToken } from './session';
import { askForToken } from './sign-in';

const ALL = '';
let records: RecordSummary[] = [];
let status = ALL;

const list = byId('record-list');
const filter = byId<HTMLInputElement>('filter');

adoptTokenFromUrl();
begin();

// A sign-in link opened in a tab that already shows this page changes only the fragment.
addEventListener('hashchange', () => {
  if (adoptTokenFromUrl()) begin();
});
filter.addEventListener('input', show);
byId('sign-out').addEventListener('click', () => {
  forgetToken();
  begin();
});
setInterval(refreshDates, 60_000);

function begin(): void {
  const token = currentToken();
  byId('sign-in').hidden = true;
  if (token === null) signIn(null);
  else void load(token);
}

function signIn(note: string | null): void {
  byId('records').hidden = true;
  byId('account').hidden = true;
  askForToken(note, (token) => void load(token));
}

async function load(token: string): Promise<void> {
  const api = new Api(token);
  byId('records').hidden = false;
  byId('empty').hidden = true;
  byId('result-count').textContent = 'Loading…';
  list.setAttribute('aria-busy', 'true');
  list.replaceChildren(
    ...Array.from({ length: 4 }, () => h('li', { class: 'record skeleton', 'aria-hidden': 'true' })),
  );
  try {
    const [me, found] = await Promise.all([api.me(), api.records()]);
    showAccount(me);
    records = found.sort((a, b) => b.modifiedAtMs - a.modifiedAtMs);
    showStatuses();
    show();
  } catch (error) {
    if (error instanceof ApiError && error.needsSignIn) {
      forgetToken();
      signIn(explain(error));
      return;
    }
    list.replaceChildren();
    byId('result-count').textContent = '';
    showNothing('The records could not be loaded', explain(error), 'Try again', () => void load(token));
  } finally {
    list.setAttribute('aria-busy', 'false');
  }
}

function showAccount(me: Me): void {
  byId('account').hidden = false;
  byId('account-name').textContent = me.name;
  byId('account-role').textContent = me.role;
}

function showStatuses(): void {
  const counts = new Map<string, number>();
  for (const record of records) counts.set(record.status, (counts.get(record.status) ?? 0) + 1);
  if (!counts.has(status)) status = ALL;
  const names = [...counts.keys()].filter((name) => name !== '').sort();
  const chip = (name: string, label: string, count: number): HTMLElement => {
    const button = h(
      'button',
      { type: 'button', class: 'chip', 'aria-pressed': String(name === status) },
      label,
    );
    button.append(h('span', { class: 'chip-count' }, String(count)));
    button.addEventListener('click', () => {
      status = name;
      for (const other of byId('statuses').children)
        other.setAttribute('aria-pressed', String(other === button));
      show();
    });
    return button;
  };
  byId('statuses').replaceChildren(
    chip(ALL, 'All', records.length),
    ...names.map((name) => chip(name, label(name), counts.get(name) ?? 0)),
  );
}

function show(): void {
  const wanted = filter.value.trim().toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const found = records.filter((record) => {
    if (status !== ALL && record.status !== status) return false;
    const text = `${record.title} ${record.type} ${record.id}`.toLocaleLowerCase();
    return wanted.every((word) => text.includes(word));
  });
  list.replaceChildren(...found.map(line));
  byId('result-count').textContent = `${found.length} ${found.length === 1 ? 'record' : 'records'}`;
  if (found.length > 0) byId('empty').hidden = true;
  else if (records.length === 0) {
    showNothing('No records yet', 'Records appear here as soon as they exist.', 'Look again', begin);
  } else {
    showNothing('Nothing matches', 'No record matches this filter.', 'Clear the filter', () => {
      filter.value = '';
      status = ALL;
      showStatuses();
      show();
      filter.focus();
    });
  }
}

function line(record: RecordSummary): HTMLElement {
  const link = h(
    'a',
    {
      class: 'record-link',
      'data-testid': 'record-link',
      href: `/edit?record=${encodeURIComponent(record.id)}`,
    },
    record.title,
  );
  const facts = h('p', { class: 'record-facts' });
  if (record.type !== '') facts.append(h('span', {}, label(record.type)));
  if (record.modifiedAtMs > 0) {
    const date = new Date(record.modifiedAtMs).toISOString();
    const time = h('time', { datetime: date, title: fullDate(record.modifiedAtMs) });
    time.textContent = `Changed ${relativeDate(record.modifiedAtMs, Date.now())}`;
    facts.append(time);
  }
  const item = h('li', { class: 'record' }, h('div', { class: 'record-text' }, h('h2', {}, link), facts));
  if (record.status !== '')
    item.append(h('span', { class: 'status', 'data-status': record.status }, label(record.status)));
  return item;
}

function showNothing(title: string, text: string, action: string, act: () => void): void {
  byId('empty').hidden = false;
  byId('empty-title').textContent = title;
  byId('empty-text').textContent = text;
  const button = byId<HTMLButtonElement>('empty-action');
  button.textContent = action;
  button.onclick = act;
}

function refreshDates(): void {
  for (const time of list.querySelectorAll('time')) {
    time.textContent = `Changed ${relativeDate(Date.parse(time.dateTime), Date.now())}`;
  }
}

/** `pending_review` → “Pending review”. */
function label(name: string): string {
  const words = name.replace(/[_-]+/g, ' ');
  return words.charAt(0).toLocaleUpperCase() + words.slice(1);
}
