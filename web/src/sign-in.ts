import { byId } from './dom';
import { parseToken, rememberToken } from './session';

/** Shows the page's sign-in panel and calls back once with a usable token. */
export function askForToken(
  note: string | null,
  done: (token: string) => void,
  parse: (pasted: string) => string | null = parseToken,
): void {
  const panel = byId('sign-in');
  const form = byId<HTMLFormElement>('sign-in-form');
  const field = byId<HTMLInputElement>('sign-in-token');
  const problem = byId('sign-in-problem');
  problem.textContent = note ?? '';
  panel.hidden = false;
  field.value = '';
  panel.scrollIntoView({ block: 'center' });
  field.focus({ preventScroll: true });

  form.onsubmit = (event) => {
    event.preventDefault();
    const token = parse(field.value);
    if (token === null) {
      problem.textContent = 'This is not a sign-in link. Paste the whole link you were given.';
      field.setAttribute('aria-invalid', 'true');
      field.focus();
      return;
    }
    field.removeAttribute('aria-invalid');
    field.value = '';
    problem.textContent = '';
    panel.hidden = true;
    rememberToken(token);
    done(token);
  };
}
