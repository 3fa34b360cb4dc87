import { escapeHtml } from '../../base/html';

export interface Cell {
  readonly text: string;
  readonly style?: string;
}

/** A table whose first column heads the rows; it scrolls by itself where the page is narrow. */
export function htmlTable(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly (string | Cell)[])[],
): string {
  const th = (text: string, scope: 'col' | 'row') => `<th scope="${scope}">${escapeHtml(text)}</th>`;
  const td = (cell: string | Cell) => {
    const { text, style } = typeof cell === 'string' ? { text: cell, style: undefined } : cell;
    return `<td${style ? ` style="${style}"` : ''}>${escapeHtml(text)}</td>`;
  };
  const body = rows.map(([first, ...rest]) => {
    const title = typeof first === 'string' ? first : first!.text;
    return `<tr>${th(title, 'row')}${rest.map(td).join('')}</tr>`;
  });
  return `<div class="scroll"><table><caption>${escapeHtml(caption)}</caption><thead><tr>${head.map((text) => th(text, 'col')).join('')}</tr></thead><tbody>${body.join('')}</tbody></table></div>`;
}
