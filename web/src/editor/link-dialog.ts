import type { EditorView } from 'prosemirror-view';
import { byId } from '../dom';
import { safeHref } from '../schema';
import { linkAt, removeLink, setLink } from './commands';

/** Asks for a link's address. */
export function editLink(view: EditorView): void {
  if (!view.editable) return;
  const dialog = byId<HTMLDialogElement>('link-dialog');
  const form = byId<HTMLFormElement>('link-form');
  const field = byId<HTMLInputElement>('link-address');
  const problem = byId('link-problem');
  const remove = byId<HTMLButtonElement>('link-remove');
  const existing = linkAt(view.state);
  field.value = existing?.href ?? '';
  problem.textContent = '';
  remove.hidden = existing === null;
  dialog.onclose = () => view.focus();
  byId('link-cancel').onclick = () => dialog.close();
  remove.onclick = () => {
    removeLink(view.state, view.dispatch);
    dialog.close();
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    const address = complete(field.value.trim());
    if (address === '' || !setLink(address)(view.state, view.dispatch)) {
      problem.textContent = 'Enter an address such as https://example.org or name@example.org.';
      return;
    }
    dialog.close();
  };
  dialog.showModal();
  field.select();
}

/** People type `example.org` and `name@example.org`; both are meant as full addresses. */
function complete(text: string): string {
  if (/^[^\s@/:]+@[^\s@/:]+\.[a-z]{2,}$/i.test(text)) return `mailto:${text}`;
  if (/^(?:[a-z0-9-]+\.)+[a-z]{2,}(?:[/?#]|$)/i.test(text) && !/\.(?:md|html?|pdf)$/i.test(text))
    return `https://${text}`;
  return safeHref(text) ?? '';
}
