import type { Node } from 'prosemirror-model';
import type { NodeViewConstructor } from 'prosemirror-view';
import { h } from '../dom';

/** An image with its alternative text below it, so that writers see and check both. */
export const imageView: NodeViewConstructor = (node: Node) => {
  const [src, alt] = [String(node.attrs['src'] ?? ''), String(node.attrs['alt'] ?? '')];
  const title = node.attrs['title'] === null ? undefined : String(node.attrs['title']);
  const image = h('img', { src, alt, title, loading: 'lazy', decoding: 'async', draggable: 'false' });
  const caption = h('span', { class: 'figure-alt', 'aria-hidden': 'true' }, alt || 'No alternative text');
  const dom = h('span', { class: alt === '' ? 'figure without-alt' : 'figure' }, image, caption);
  image.addEventListener('error', () => dom.classList.add('broken'), { once: true });
  return { dom, ignoreMutation: () => true };
};

/** A table that scrolls within the text, so that a wide one never widens the page. */
export const tableView: NodeViewConstructor = () => {
  const contentDOM = h('tbody');
  return { dom: h('div', { class: 'table-scroll' }, h('table', {}, contentDOM)), contentDOM };
};
