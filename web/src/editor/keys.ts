import { baseKeymap, chainCommands, exitCode, setBlockType, toggleMark } from 'prosemirror-commands';
import { keymap } from 'prosemirror-keymap';
import { undoInputRule } from 'prosemirror-inputrules';
import { liftListItem, sinkListItem, splitListItem } from 'prosemirror-schema-list';
import { Plugin, type Command } from 'prosemirror-state';
import { addRowAfter, goToNextCell } from 'prosemirror-tables';
import { redoCommand, undoCommand } from 'y-prosemirror';
import { schema } from '../schema';
import { insertBreak, toggleList, toggleQuote } from './commands';

/** What the editor's keys need from the page. */
export interface KeyActions {
  editLink(): void;
  focusToolbar(): void;
}

/** The editor's keys, in order of precedence. */
export function keys(actions: KeyActions): Plugin[] {
  const { marks, nodes } = schema;
  // Tab indents lists and walks tables, so people who use only the keyboard need a way out: Escape, then Tab.
  let leaving = false;
  const escape = new Plugin({
    props: {
      handleKeyDown(_view, event) {
        if (event.key === 'Escape') leaving = true;
        else if (event.key !== 'Tab' && event.key !== 'Shift') leaving = false;
        return false;
      },
      handleDOMEvents: {
        blur() {
          leaving = false;
          return false;
        },
      },
    },
  });
  const unlessLeaving =
    (command: Command): Command =>
    (state, dispatch, view) =>
      !leaving && command(state, dispatch, view);

  const bindings: Record<string, Command> = {
    'Mod-z': undoCommand,
    'Mod-y': redoCommand,
    'Mod-Shift-z': redoCommand,
    'Mod-b': toggleMark(marks.strong),
    'Mod-i': toggleMark(marks.em),
    'Mod-`': toggleMark(marks.code),
    'Mod-k': act(() => actions.editLink()),
    'Alt-F10': act(() => actions.focusToolbar()),
    'Mod-Alt-0': setBlockType(nodes.paragraph),
    'Mod-Alt-1': setBlockType(nodes.heading, { level: 1 }),
    'Mod-Alt-2': setBlockType(nodes.heading, { level: 2 }),
    'Mod-Alt-3': setBlockType(nodes.heading, { level: 3 }),
    'Mod-Shift-7': toggleList(nodes.ordered_list),
    'Mod-Shift-8': toggleList(nodes.bullet_list),
    'Mod-Shift-9': toggleQuote,
    Backspace: undoInputRule,
    Enter: splitListItem(nodes.list_item),
    'Shift-Enter': chainCommands(exitCode, insertBreak),
    'Mod-Enter': exitCode,
    Tab: unlessLeaving(chainCommands(sinkListItem(nodes.list_item), goToNextCell(1), rowAtEnd)),
    'Shift-Tab': unlessLeaving(chainCommands(goToNextCell(-1), liftListItem(nodes.list_item))),
  };
  return [escape, keymap(bindings), keymap(baseKeymap)];
}

/** Tab in a table's last cell adds a row and goes there. */
const rowAtEnd: Command = (state, dispatch, view) => {
  if (!addRowAfter(state, dispatch)) return false;
  if (dispatch && view) goToNextCell(1)(view.state, view.dispatch);
  return true;
};

function act(run: () => void): Command {
  return (_state, dispatch) => {
    if (dispatch) run();
    return true;
  };
}
