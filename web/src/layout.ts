import { byId } from './dom';

const HIDDEN_KEY = 'civicpress.markdown-hidden';

/** Which parts of the edit page are in view: side by side on wide screens, one of two tabs on narrow ones. */
export function layout(markdownShown: () => void): { isMarkdownShown(): boolean } {
  const narrow = matchMedia('(max-width: 60rem)');
  const { body } = document;
  const toggle = byId('markdown-toggle');
  const tabs = { editor: byId('tab-editor'), markdown: byId('tab-markdown') };
  const isMarkdownShown = (): boolean =>
    narrow.matches ? body.dataset['view'] === 'markdown' : !body.classList.contains('markdown-hidden');

  const hide = (hidden: boolean): void => {
    body.classList.toggle('markdown-hidden', hidden);
    toggle.setAttribute('aria-pressed', String(!hidden));
  };
  toggle.addEventListener('click', () => {
    hide(!body.classList.contains('markdown-hidden'));
    remember(body.classList.contains('markdown-hidden'));
    if (isMarkdownShown()) markdownShown();
  });
  hide(remembered());

  /** Both views scroll the page; each is found again where it was left. */
  const scrolled = { editor: 0, markdown: 0 };
  const choose = (name: keyof typeof tabs): void => {
    scrolled[body.dataset['view'] === 'markdown' ? 'markdown' : 'editor'] = scrollY;
    body.dataset['view'] = name;
    scrollTo({ top: scrolled[name], behavior: 'instant' });
    for (const [other, tab] of Object.entries(tabs)) {
      tab.setAttribute('aria-selected', String(other === name));
      tab.tabIndex = other === name ? 0 : -1;
    }
    if (isMarkdownShown()) markdownShown();
  };
  tabs.editor.addEventListener('click', () => choose('editor'));
  tabs.markdown.addEventListener('click', () => choose('markdown'));
  byId('tabs').addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    event.preventDefault();
    const name = body.dataset['view'] === 'editor' ? 'markdown' : 'editor';
    choose(name);
    tabs[name].focus();
  });
  const panels = [byId('paper'), byId('markdown-pane')];
  const arrange = (): void => {
    for (const panel of panels) {
      if (narrow.matches) panel.setAttribute('role', 'tabpanel');
      else panel.removeAttribute('role');
    }
  };
  arrange();
  narrow.addEventListener('change', () => {
    arrange();
    if (isMarkdownShown()) markdownShown();
  });
  return { isMarkdownShown };
}

function remembered(): boolean {
  try {
    return localStorage.getItem(HIDDEN_KEY) === '1';
  } catch {
    return false;
  }
}

function remember(hidden: boolean): void {
  try {
    localStorage.setItem(HIDDEN_KEY, hidden ? '1' : '0');
  } catch {
    // A preference that cannot be kept is no loss.
  }
}

/** Keeps `--header-height` true: the header grows with banners and wraps on phones. */
export function trackHeader(header: HTMLElement): void {
  const measure = (): void =>
    document.documentElement.style.setProperty('--header-height', `${header.offsetHeight}px`);
  new ResizeObserver(measure).observe(header);
  measure();
}
