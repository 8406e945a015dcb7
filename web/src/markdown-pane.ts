import { ApiError, explain } from './api';
import { byId } from './dom';

const QUIET_MS = 300;
/** While someone types without pause the text is still renewed this often. */
const STALE_MS = 1500;
/** Pause before a failed request is made again; it doubles with each failure. */
const RETRY_MS = 2000;
const RETRY_MS_MAX = 30_000;

/** Shows the record's Markdown as the server would archive it. */
export class MarkdownPane {
  #text = byId('markdown');
  #note = byId('markdown-note');
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waitingSince = 0;
  #request: AbortController | null = null;
  #isStale = true;
  #retryMs = RETRY_MS;

  constructor(
    private readonly load: (signal: AbortSignal) => Promise<string>,
    private readonly isShown: () => boolean,
  ) {
    const copy = byId<HTMLButtonElement>('markdown-copy');
    copy.addEventListener('click', () => void this.#copy(copy));
  }

  /** The document changed; the text is fetched when it has been quiet for a moment. */
  stale(): void {
    this.#isStale = true;
    if (!this.isShown()) return;
    const now = Date.now();
    if (this.#timer === undefined) this.#waitingSince = now;
    clearTimeout(this.#timer);
    const wait = Math.min(QUIET_MS, Math.max(0, this.#waitingSince + STALE_MS - now));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#fetch();
    }, wait);
  }

  /** The pane came into view. */
  shown(): void {
    if (this.#isStale) void this.#fetch();
  }

  async #fetch(): Promise<void> {
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    this.#isStale = false;
    try {
      const text = await this.load(
        AbortSignal.any?.([request.signal, AbortSignal.timeout(15_000)]) ?? request.signal,
      );
      if (this.#text.textContent !== text) this.#text.textContent = text;
      this.#note.textContent = '';
      this.#retryMs = RETRY_MS;
    } catch (error) {
      if (request.signal.aborted) return;
      this.#isStale = true;
      // While offline the header already says so; the last text stays readable.
      this.#note.textContent =
        error instanceof ApiError && error.status === 0 ? 'Not up to date' : explain(error);
      this.#retry(error);
    } finally {
      if (this.#request === request) this.#request = null;
    }
  }

  /** A server that is away or busy is asked again; what it refuses, it refuses again. */
  #retry(error: unknown): void {
    const mayPass =
      !(error instanceof ApiError) || error.status === 0 || error.status === 429 || error.status >= 500;
    // A change that came meanwhile has set its own timer.
    if (!mayPass || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.isShown()) void this.#fetch();
    }, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  async #copy(button: HTMLButtonElement): Promise<void> {
    let word = 'Copied';
    try {
      await navigator.clipboard.writeText(this.#text.textContent ?? '');
    } catch {
      // Without permission the text is selected, so that one key press copies it.
      getSelection()?.selectAllChildren(this.#text);
      word = 'Selected';
    }
    button.textContent = word;
    setTimeout(() => (button.textContent = 'Copy'), 2000);
  }
}
