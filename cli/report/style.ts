/** Shared by all pages. */
export const STYLE = `
:root{color-scheme:light dark;--ink:#16202b;--soft:#536170;--line:#d5dce3;--ground:#fff;--card:#f4f7fa;--accent:#0072b2}
@media (prefers-color-scheme:dark){:root{--ink:#e8edf2;--soft:#a3b1bf;--line:#36424e;--ground:#12181e;--card:#1b242d;--accent:#6db8e8}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 1rem}
h2{font-size:1.2rem;margin:2.75rem 0 .5rem}
p{max-width:46rem}
.notice{border-left:4px solid #e69f00;background:var(--card);padding:.75rem 1rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:1.5rem 0}
.figures div{background:var(--card);border-radius:.5rem;padding:.7rem .9rem}
dt{color:var(--soft);font-size:.8rem}
dd{margin:0;font-size:1.15rem;font-weight:600;font-variant-numeric:tabular-nums}
svg{display:block;width:100%;max-width:46rem;height:auto;font:13px system-ui,sans-serif}
svg text{fill:var(--ink)}
svg .grid{stroke:var(--line);stroke-width:1}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;margin:.75rem 0}
caption{text-align:left;color:var(--soft);font-size:.85rem;padding-bottom:.35rem}
th,td{padding:.4rem .6rem;white-space:nowrap;text-align:right;border-bottom:1px solid var(--line)}
th[scope=row],thead th:first-child{text-align:left}
.slices{display:flex;gap:1rem;align-items:flex-end}
figure{margin:0;min-width:0}
figure img{display:block;background:#000;border-radius:.35rem;max-width:100%;height:auto;image-rendering:auto}
figcaption{color:var(--soft);font-size:.85rem;padding-top:.25rem}
.key::before{content:"";display:inline-block;width:.8em;height:.8em;margin-right:.35em;border-radius:2px;vertical-align:-.05em}
.key{margin-left:.8rem}
.truth::before{background:rgb(64 224 120)}
.prediction::before{background:rgb(255 140 40)}
pre{background:var(--card);padding:.8rem 1rem;border-radius:.5rem;overflow-x:auto}
code{overflow-wrap:anywhere}
@media (max-width:40rem){.slices{flex-wrap:wrap}svg{font-size:20px}}
`;
