/** Someone in front of the pages: a browser context of their own, and what went wrong in it. */

import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { expect } from 'vitest';

import type { Server } from './server.js';

/** What a page under test leaves in its window. */
interface Watched extends Window {
  sockets: WebSocket[];
}

const DESKTOP = { width: 1440, height: 900 };
/** What the browser prints by itself when it cannot reach a server. */
const UNREACHABLE = /net::ERR_|WebSocket connection to .* failed/;
const PATIENCE_MS = 20_000;

export class Person {
  readonly problems: string[] = [];
  /** The server is away or the network is off: that the browser says so is no problem. */
  unreachable = false;
  /** Answers that the test provokes, such as 401. */
  readonly expected: RegExp[] = [];

  private constructor(
    readonly name: string,
    readonly server: Server,
    readonly context: BrowserContext,
    readonly page: Page,
  ) {}

  static async arrive(
    browser: Browser,
    server: Server,
    name: string,
    options: BrowserContextOptions = {},
  ): Promise<Person> {
    const context = await browser.newContext({ viewport: DESKTOP, ...options });
    // Sockets are kept where the test finds them: to cut one, or to send what the page never would.
    await context.addInitScript(() => {
      const window = globalThis as unknown as Watched & { WebSocket: typeof WebSocket };
      window.sockets = [];
      window.WebSocket = class extends WebSocket {
        constructor(url: string | URL, protocols?: string | string[]) {
          super(url, protocols);
          window.sockets.push(this);
        }
      };
      document.addEventListener('securitypolicyviolation', (event) =>
        console.error(`refused by policy: ${event.violatedDirective} ${event.blockedURI}`),
      );
    });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const person = new Person(name, server, context, page);
    page.on('pageerror', (error) => person.problems.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') person.#heard(message.text());
    });
    return person;
  }

  #heard(text: string): void {
    if (this.unreachable && UNREACHABLE.test(text)) return;
    if (this.expected.some((pattern) => pattern.test(text))) return;
    this.problems.push(text);
  }

  /** Opens a record's editor with a token of their own. */
  async edit(record: string, role: 'viewer' | 'editor' = 'editor'): Promise<void> {
    const token = await this.server.token(this.name, role);
    await this.page.goto(`${this.server.url}edit?record=${encodeURIComponent(record)}#token=${token}`);
    await this.reaches(role === 'viewer' ? 'readonly' : 'saved');
  }

  get editor(): Locator {
    return this.page.getByTestId('editor');
  }

  /** Waits for the connection's state. */
  async reaches(state: 'saved' | 'readonly' | 'offline' | 'saving'): Promise<void> {
    await this.page.locator(`[data-testid=connection-state][data-state=${state}]`).waitFor();
  }

  /** The text of each block in the editor, without other people's cursors. */
  async blocks(): Promise<string[]> {
    return await this.editor.evaluate((editor) => {
      const copy = editor.cloneNode(true) as HTMLElement;
      for (const widget of copy.querySelectorAll('.remote-caret, .ProseMirror-widget')) widget.remove();
      return [...copy.children].map((block) => block.textContent ?? '');
    });
  }

  async sees(text: string): Promise<void> {
    await expect.poll(async () => (await this.blocks()).join('\n')).toContain(text);
  }

  /** The Markdown pane as it is now. */
  async markdown(): Promise<string> {
    return (await this.page.getByTestId('markdown').textContent()) ?? '';
  }

  async seesMarkdown(text: string): Promise<void> {
    await expect.poll(() => this.markdown()).toContain(text);
  }

  /** The same where the pane is beside the text; on phones it is another view. */
  async seesMarkdownWhereShown(text: string): Promise<void> {
    if (await this.page.locator('#markdown-pane').isVisible()) await this.seesMarkdown(text);
  }

  /** Writes a new paragraph at the end, as fast as a quick typist. */
  async append(text: string): Promise<void> {
    await this.#goToEnd();
    await this.page.keyboard.press('Enter');
    await this.type(text);
  }

  /**
   * Control+End, until it holds. The editor hears of a new selection one frame later, and puts its own back in
   * place just after it was focused: a key pressed by a program can be faster than both.
   */
  async #goToEnd(): Promise<void> {
    await this.editor.focus();
    await expect
      .poll(async () => {
        await this.page.keyboard.press('Control+End');
        return await this.editor.evaluate(async (editor) => {
          await new Promise((resolve) => setTimeout(resolve, 60));
          return editor.lastElementChild?.contains(getSelection()?.focusNode ?? null) ?? false;
        });
      })
      .toBe(true);
  }

  /** Puts the cursor at the start or end of the first block that contains this text. */
  async goTo(text: string, end: 'Home' | 'End'): Promise<void> {
    const block = this.editor.locator('p').filter({ hasText: text }).first();
    await block.click();
    const put = (): Promise<boolean> =>
      block.evaluate(async (element, toStart) => {
        const range = document.createRange();
        range.selectNodeContents(element);
        range.collapse(toStart);
        const selection = getSelection();
        selection?.removeAllRanges();
        selection?.addRange(range);
        // The editor learns of the selection from an event that comes later, and may put its own back in place.
        await new Promise((resolve) => setTimeout(resolve, 100));
        const before = document.createRange();
        before.selectNodeContents(element);
        const after = before.cloneRange();
        if (!selection?.focusNode || !element.contains(selection.focusNode)) return false;
        before.setEnd(selection.focusNode, selection.focusOffset);
        after.setStart(selection.focusNode, selection.focusOffset);
        return before.toString().length < after.toString().length === toStart;
      }, end === 'Home');
    await expect.poll(put).toBe(true);
  }

  async type(text: string): Promise<void> {
    await this.page.keyboard.type(text, { delay: 20 });
  }

  /** Names beside other people's cursors. */
  async cursors(): Promise<string[]> {
    return (await this.editor.locator('.remote-name').allTextContents()).sort();
  }

  /** The people the page lists, as a screen reader hears them. */
  async people(): Promise<string[]> {
    return await this.page.getByTestId('people').locator('.avatar .visually-hidden').allTextContents();
  }

  async goOffline(): Promise<void> {
    this.unreachable = true;
    await this.context.setOffline(true);
    // Being offline concerns new connections only; the open one is cut by hand.
    await this.page.evaluate(() => (globalThis as unknown as Watched).sockets.at(-1)?.close());
    await this.reaches('offline');
  }

  async goOnline(): Promise<void> {
    await this.context.setOffline(false);
    await this.reaches('saved');
    this.unreachable = false;
  }

  /** Sends raw bytes over the page's own connection, past everything the page checks. */
  async forge(frame: Uint8Array): Promise<void> {
    await this.page.evaluate(
      (bytes) => {
        const socket = (globalThis as unknown as Watched).sockets.at(-1);
        if (socket === undefined) throw new Error('no socket');
        WebSocket.prototype.send.call(socket, new Uint8Array(bytes));
      },
      [...frame],
    );
  }
}
