import type { EditorView } from 'prosemirror-view';
import { Api, ApiError, explain, type Me } from './api';
import { byId } from './dom';
import { editLink } from './editor/link-dialog';
import { Toolbar } from './editor/toolbar';
import { createEditor } from './editor/view';
import { beforeExpiry } from './expiry';
import { introduce } from './introduce';
import { MarkdownPane } from './markdown-pane';
import { showPeople } from './people';
import type { Ending } from './realtime/closes';
import { Connection } from './realtime/connection';
import { adoptTokenFromUrl, currentToken, forgetToken } from './session';
import { askForToken } from './sign-in';
import { banner, showState, showUnavailable } from './status';
import { layout, trackHeader } from './layout';

const ID_BYTES_MAX = 256;

const recordId = new URLSearchParams(location.search).get('record') ?? '';
let api: Api | null = null;
let connection: Connection | null = null;
let view: EditorView | null = null;
let title = recordId;
/** The title is the record's own and no stand-in. */
let isNamed = false;
/** The connection ended for good: what is typed from now on would be lost. */
let isOver = false;

const toolbar = new Toolbar(
  byId('toolbar'),
  () => view,
  () => view && editLink(view),
);
const markdown = new MarkdownPane(
  (signal) => (api ? api.markdown(recordId, signal) : Promise.reject(new Error('not signed in'))),
  () => pane.isMarkdownShown() && view !== null,
);
const pane = layout(() => view !== null && markdown.shown());

trackHeader(byId('edit-header'));
adoptTokenFromUrl();
addEventListener('hashchange', () => {
  // A fresh sign-in link opened in this tab continues the session that is under way.
  if (adoptTokenFromUrl()) start();
});
addEventListener('beforeunload', (event) => {
  if (connection?.delivery.dirty) event.preventDefault();
});

if (!isRecordId(recordId)) {
  showUnavailable('Which record?', 'This address does not name a record. Choose one from the list.');
} else {
  showTitle();
  start();
}

function start(): void {
  const token = currentToken();
  if (token === null) signIn(null);
  else void open(token);
}

function signIn(note: string | null): void {
  document.body.classList.add('is-signing-in');
  askForToken(note, (token) => {
    document.body.classList.remove('is-signing-in');
    void open(token);
  });
}

async function open(token: string): Promise<void> {
  byId('sign-in').hidden = true;
  document.body.classList.remove('is-signing-in');
  const client = new Api(token);
  let me: Me;
  try {
    me = await client.me();
  } catch (error) {
    if (error instanceof ApiError && error.needsSignIn) {
      forgetToken();
      signIn(explain(error));
    } else banner(explain(error), { label: 'Try again', act: () => void open(token) });
    return;
  }
  banner(null);
  beforeExpiry(me.expiresAtMs, (text) => banner(text, { label: 'Sign in again', act: () => signIn(null) }));
  api = client;
  void nameRecord(client);
  if (connection === null) connection = connect(token, me);
  else {
    introduce(connection.provider.awareness, me);
    connection.resume(token);
  }
}

function connect(token: string, me: Me): Connection {
  const made = new Connection(recordId, token, {
    changed: () => show(made),
    ready: () => mount(made),
    ended: (end) => ended(end),
    notice: (text) => banner(text),
  });
  if (me.role === 'viewer') made.delivery.allowEditing(false);
  introduce(made.provider.awareness, me);
  showPeople(byId('people'), made.provider.awareness);
  made.doc.on('update', () => markdown.stale());
  show(made);
  made.connect();
  return made;
}

/** The editor appears when the document is complete, so that nobody types into an empty one. */
function mount({ doc, provider, delivery }: Connection): void {
  markdown.stale();
  if (!isNamed && api !== null) void nameRecord(api);
  if (view !== null) return;
  byId('loading').hidden = true;
  byId('editor').hidden = false;
  view = createEditor({
    mount: byId('editor'),
    doc,
    awareness: provider.awareness,
    canEdit: () => delivery.canEdit && !isOver,
    updated: (current) => toolbar.update(current),
    editLink: () => view && editLink(view),
    focusToolbar: () => toolbar.focus(),
  });
  markdown.shown();
}

function show({ delivery }: Connection): void {
  const before = byId('connection-state').dataset['state'];
  showState(delivery);
  showTitle();
  // The server writes Markdown from what it has; once it has everything, the text is final.
  if (delivery.state === 'saved' && before === 'saving') markdown.stale();
  if (view !== null && view.editable !== (delivery.canEdit && !isOver)) view.setProps({});
}

function ended(end: Ending): void {
  if (end.then === 'sign-in') {
    forgetToken();
    banner(end.text, { label: 'Sign in again', act: () => signIn(null) });
  } else if (end.then === 'stop' && view === null) {
    banner(null);
    showUnavailable('This record cannot be opened', end.text);
  } else if (end.then === 'stop') {
    isOver = true;
    view?.setProps({});
    banner(end.text, { label: 'Reload', act: () => location.reload() });
  } else banner(end.text);
}

/** The record's own name stands in the list; without it the id has to do. */
async function nameRecord(client: Api): Promise<void> {
  try {
    const record = (await client.records()).find(({ id }) => id === recordId);
    if (record === undefined) return;
    isNamed = true;
    title = record.title;
    const chip = byId('record-status');
    chip.hidden = record.status === '';
    chip.textContent = record.status.replace(/[_-]+/g, ' ');
    chip.dataset['status'] = record.status;
    showTitle();
  } catch {
    // The list is a convenience here; the record itself tells of any real trouble.
  }
}

function showTitle(): void {
  byId('record-title').textContent = title;
  document.title = `${connection?.delivery.dirty ? '• ' : ''}${title} — CivicPress`;
}

function isRecordId(id: string): boolean {
  const bytes = new TextEncoder().encode(id).length;
  if (bytes === 0 || bytes > ID_BYTES_MAX || /[\u0000-\u001f\u007f\\]/.test(id)) return false;
  return id.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}
