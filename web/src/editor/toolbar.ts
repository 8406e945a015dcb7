import { setBlockType, toggleMark } from 'prosemirror-commands';
import type { MarkType, NodeType } from 'prosemirror-model';
import type { Command, EditorState } from 'prosemirror-state';
import {
  addColumnAfter,
  addRowAfter,
  deleteColumn,
  deleteRow,
  deleteTable,
  isInTable,
} from 'prosemirror-tables';
import type { EditorView } from 'prosemirror-view';
import { redoCommand, undoCommand } from 'y-prosemirror';
import { h, icon } from '../dom';
import { schema } from '../schema';
import { inside, insertRule, insertTable, markActive, toggleList, toggleQuote } from './commands';
import { ICONS } from './icons';

interface Item {
  icon: keyof typeof ICONS;
  label: string;
  keys?: string;
  aria?: string;
  command: Command;
  /** Present on toggles: whether it is on. */
  active?: (state: EditorState) => boolean;
  /** Present on tools that show up only where they apply. */
  visible?: (state: EditorState) => boolean;
}

const { marks, nodes } = schema;
const MAC = /Mac|iPhone|iPad/.test(navigator.platform);

const mark = (type: MarkType) => ({
  command: toggleMark(type),
  active: (s: EditorState) => markActive(s, type),
});
const block = (type: NodeType, command: Command) => ({
  command,
  active: (s: EditorState) => inside(s, type),
});
const inTable = { visible: (state: EditorState) => isInTable(state) };
const toggleCodeBlock: Command = (state, dispatch, view) =>
  setBlockType(inside(state, nodes.code_block) ? nodes.paragraph : nodes.code_block)(state, dispatch, view);

function groups(editLink: () => void): Item[][] {
  const link: Command = (_state, dispatch) => {
    if (dispatch) editLink();
    return true;
  };
  return [
    [
      { icon: 'undo', label: 'Undo', keys: 'Mod+Z', command: undoCommand },
      { icon: 'redo', label: 'Redo', keys: 'Mod+Y', command: redoCommand },
    ],
    [
      { icon: 'bold', label: 'Bold', keys: 'Mod+B', ...mark(marks.strong) },
      { icon: 'italic', label: 'Italic', keys: 'Mod+I', ...mark(marks.em) },
      { icon: 'code', label: 'Code', keys: 'Mod+`', ...mark(marks.code) },
      { icon: 'link', label: 'Link', keys: 'Mod+K', command: link, active: (s) => markActive(s, marks.link) },
    ],
    [
      {
        icon: 'bulletList',
        label: 'Bullet list',
        keys: 'Mod+Shift+8',
        ...block(nodes.bullet_list, toggleList(nodes.bullet_list)),
      },
      {
        icon: 'orderedList',
        label: 'Numbered list',
        keys: 'Mod+Shift+7',
        ...block(nodes.ordered_list, toggleList(nodes.ordered_list)),
      },
      { icon: 'quote', label: 'Quote', keys: 'Mod+Shift+9', ...block(nodes.blockquote, toggleQuote) },
      { icon: 'codeBlock', label: 'Code block', ...block(nodes.code_block, toggleCodeBlock) },
    ],
    [
      { icon: 'rule', label: 'Horizontal line', command: insertRule },
      { icon: 'table', label: 'Insert table', command: insertTable },
      { icon: 'rowAfter', label: 'Add row below', command: addRowAfter, ...inTable },
      { icon: 'columnAfter', label: 'Add column to the right', command: addColumnAfter, ...inTable },
      { icon: 'deleteRow', label: 'Delete row', command: deleteRow, ...inTable },
      { icon: 'deleteColumn', label: 'Delete column', command: deleteColumn, ...inTable },
      { icon: 'deleteTable', label: 'Delete table', command: deleteTable, ...inTable },
    ],
  ];
}

/** The formatting tools: one Tab stop, arrow keys within (the ARIA toolbar pattern). */
export class Toolbar {
  #buttons: { button: HTMLButtonElement; item: Item }[] = [];
  #select: HTMLSelectElement;

  constructor(
    private readonly root: HTMLElement,
    private readonly view: () => EditorView | null,
    editLink: () => void,
  ) {
    this.#select = this.#blockSelect();
    const all = groups(editLink).map((items) =>
      h('div', { class: 'tool-group', role: 'group' }, ...items.map((item) => this.#button(item))),
    );
    all.splice(1, 0, h('div', { class: 'tool-group' }, this.#select));
    root.replaceChildren(...all);
    root.addEventListener('keydown', (event) => this.#walk(event));
    root.addEventListener('focusin', (event) => this.#stopAt(event.target as HTMLElement));
    this.#stopAt(this.#tools()[0]);
  }

  /** Puts the focus on the tool used last. */
  focus(): void {
    (this.#tools().find((tool) => tool.tabIndex === 0) ?? this.#tools()[0])?.focus();
  }

  /** Shows what applies at the selection. */
  update(view: EditorView): void {
    const { state } = view;
    const editable = view.editable;
    this.root.hidden = !editable;
    for (const { button, item } of this.#buttons) {
      button.hidden = item.visible !== undefined && !item.visible(state);
      // Unusable tools stay focusable, or the focus would vanish under a keyboard user's hands.
      button.setAttribute('aria-disabled', String(!editable || !item.command(state)));
      if (item.active) button.setAttribute('aria-pressed', String(item.active(state)));
    }
    const { parent } = state.selection.$from;
    const level = parent.type === nodes.heading ? Number(parent.attrs['level']) : 0;
    for (const option of this.#select.options)
      option.hidden = Number(option.value) > 3 && Number(option.value) !== level;
    this.#select.value = String(level);
    this.#select.disabled = !editable || (parent.type !== nodes.heading && parent.type !== nodes.paragraph);
    if (!this.#tools().some((tool) => tool.tabIndex === 0)) this.#stopAt(this.#tools()[0]);
  }

  #button(item: Item): HTMLButtonElement {
    const keys = item.keys?.replace('Mod', MAC ? '⌘' : 'Ctrl');
    const button = h('button', {
      type: 'button',
      class: 'tool',
      tabindex: '-1',
      'aria-label': item.label,
      title: keys === undefined ? item.label : `${item.label} (${keys})`,
      'aria-keyshortcuts': item.keys?.replace('Mod', MAC ? 'Meta' : 'Control'),
      'aria-pressed': item.active ? 'false' : undefined,
    });
    button.append(icon(ICONS[item.icon]));
    // The text keeps its selection (and a phone its keyboard) when a tool is pressed with a pointer.
    button.addEventListener('mousedown', (event) => event.preventDefault());
    button.addEventListener('click', (event) => {
      const view = this.view();
      if (view === null || button.getAttribute('aria-disabled') === 'true') return;
      item.command(view.state, view.dispatch, view);
      // `detail` is 0 for the keyboard: then the focus stays on the tool.
      if (event.detail > 0 && item.icon !== 'link') view.focus();
    });
    this.#buttons.push({ button, item });
    return button;
  }

  #blockSelect(): HTMLSelectElement {
    const names = ['Paragraph', 1, 2, 3, 4, 5, 6].map((name) =>
      typeof name === 'number' ? `Heading ${name}` : name,
    );
    const options = names.map((name, level) => h('option', { value: String(level) }, name));
    const select = h(
      'select',
      { class: 'tool-select', 'aria-label': 'Kind of paragraph', tabindex: '-1' },
      ...options,
    );
    select.addEventListener('change', () => {
      const view = this.view();
      if (view === null) return;
      const level = Number(select.value);
      const command = level === 0 ? setBlockType(nodes.paragraph) : setBlockType(nodes.heading, { level });
      command(view.state, view.dispatch);
      view.focus();
    });
    return select;
  }

  #tools(): HTMLElement[] {
    return [...this.root.querySelectorAll<HTMLElement>('.tool, .tool-select')].filter(
      (tool) => !tool.hidden && !(tool instanceof HTMLSelectElement && tool.disabled),
    );
  }

  #walk(event: KeyboardEvent): void {
    if (event.key === 'Escape') {
      this.view()?.focus();
      return;
    }
    const tools = this.#tools();
    const at = tools.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tools.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    tools[(to + tools.length) % tools.length]?.focus();
  }

  #stopAt(tool: HTMLElement | undefined): void {
    if (tool === undefined) return;
    for (const other of this.root.querySelectorAll<HTMLElement>('.tool, .tool-select'))
      other.tabIndex = other === tool ? 0 : -1;
  }
}
