import { InputRule, inputRules, textblockTypeInputRule, wrappingInputRule } from 'prosemirror-inputrules';
import type { Plugin } from 'prosemirror-state';
import { isInTable } from 'prosemirror-tables';
import { schema } from '../schema';

/** Markdown typed at the start of a line becomes what it means. */
export function rules(): Plugin {
  const { heading, bullet_list, ordered_list, blockquote, code_block, horizontal_rule, paragraph } =
    schema.nodes;
  return inputRules({
    rules: [
      textblockTypeInputRule(/^(#{1,6})\s$/, heading, (match) => ({ level: match[1]?.length ?? 1 })),
      wrappingInputRule(/^\s*[-+*]\s$/, bullet_list),
      wrappingInputRule(
        /^\s*(\d{1,9})[.)]\s$/,
        ordered_list,
        (match) => ({ order: Number(match[1]) }),
        (match, node) => node.childCount + Number(node.attrs['order']) === Number(match[1]),
      ),
      wrappingInputRule(/^\s*>\s$/, blockquote),
      textblockTypeInputRule(/^```$/, code_block),
      new InputRule(/^---$/, (state, _match, start, end) => {
        if (isInTable(state) || state.selection.$from.parent.type !== paragraph) return null;
        const before = state.doc.resolve(start).before();
        return state.tr.delete(start, end).insert(before, horizontal_rule.create());
      }),
    ],
  });
}
