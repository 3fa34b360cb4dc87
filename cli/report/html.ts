import { escapeHtml } from '../../base/html';
import { STYLE } from './style';

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

/**
 * A self-contained page: no script, no font, nothing from elsewhere.
 * @param title plain text, of the page and above its contents
 * @param contents HTML
 */
export function htmlPage(title: string, contents: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${contents}
</main>
</body>
</html>
`;
}

/** Figures that are looked at first, each with its name. @param facts names as HTML, values as plain text */
export function figureList(facts: readonly (readonly [string, string])[]): string {
  return `<dl class="figures">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`).join('')}</dl>`;
}
