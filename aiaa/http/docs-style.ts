/** Style of the API page. Colours keep a contrast of at least 4.5:1 to their ground (WCAG 2.2, 1.4.3), light and dark. */
export const DOCS_STYLE = `
:root{color-scheme:light dark;--ground:#f7f8fa;--card:#fff;--text:#1b2430;--soft:#536072;--line:#dde2e9;--accent:#0b6e5f;--get:#0b5cad;--post:#0b6e5f;--put:#8a4b00;--delete:#a8202b;--code:#eef1f5;--on:#fff;--edge:#7b8796}
@media (prefers-color-scheme:dark){:root{--ground:#10151c;--card:#18202a;--text:#e6ebf2;--soft:#a3b0c2;--line:#2b3644;--accent:#4fd1b8;--get:#7db8ff;--post:#4fd1b8;--put:#f0b35c;--delete:#ff9aa2;--code:#222c38;--on:#0c1a17;--edge:#7f8ea1}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0 auto;padding:0 clamp(1rem,4vw,1.5rem) 4rem;max-width:62rem;background:var(--ground);color:var(--text);font:1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header{padding:clamp(1.5rem,6vw,3.5rem) 0 1rem}
.eyebrow{margin:0;color:var(--accent);font-weight:600;letter-spacing:.04em}
h1{margin:.2rem 0 .6rem;font-size:clamp(1.8rem,6vw,2.5rem);line-height:1.15;letter-spacing:-.02em}
h2{margin:3rem 0 1rem;font-size:1.5rem;letter-spacing:-.01em}
h3{margin:1.4rem 0 .4rem;font-size:1.05rem}
.lead{max-width:44rem;margin:0 0 1.4rem;color:var(--soft);font-size:1.1rem}
.address{display:flex;flex-wrap:wrap;gap:.3rem .9rem;align-items:baseline;margin:0;padding:.8rem 1rem;border:1px solid var(--line);border-left:4px solid var(--accent);border-radius:.5rem;background:var(--card)}
.address{justify-content:space-between;align-items:center}
.address>div{display:flex;flex-wrap:wrap;gap:.1rem .9rem;align-items:baseline;min-width:0}
.address span{color:var(--soft)}
.state{display:inline-block;margin:1rem 0 0;padding:.25rem .8rem .25rem .6rem;border:1px solid var(--line);border-radius:1rem;background:var(--card);font-size:.92rem}
.state::before{content:"";display:inline-block;width:.6rem;height:.6rem;margin-right:.5rem;border-radius:50%;background:var(--delete)}
.state.good::before{background:var(--accent)}
[hidden]{display:none!important}
button,.button{display:inline-block;padding:.55rem 1.15rem;border:1px solid var(--accent);border-radius:.5rem;background:var(--accent);color:var(--on);font:inherit;font-weight:600;text-decoration:none;cursor:pointer}
button:hover,.button:hover{filter:brightness(1.08)}
button:disabled{opacity:.55;cursor:default}
button.quiet{padding:.3rem .8rem;border-color:var(--line);background:transparent;color:var(--accent)}
.buttons{display:flex;flex-wrap:wrap;gap:.7rem;margin-top:1.1rem}
.panel{padding:1.25rem;border:1px solid var(--line);border-radius:.7rem;background:var(--card)}
.fields{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,16rem),1fr));gap:1rem 1.5rem}
.field.wide{grid-column:1/-1}
label{display:block;margin-bottom:.3rem;font-weight:600}
select,textarea,input[type=file]{width:100%;min-height:2.75rem;padding:.5rem .7rem;border:1px solid var(--edge);border-radius:.5rem;background:var(--ground);color:var(--text);font:inherit}
textarea{font:.9rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
input[type=file]::file-selector-button{margin-right:.8rem;padding:.25rem .8rem;border:1px solid var(--line);border-radius:.4rem;background:var(--card);color:var(--accent);font:inherit;font-weight:600}
.hint{margin:.3rem 0 0;color:var(--soft);font-size:.88rem}
progress{width:100%;margin-top:1rem;accent-color:var(--accent)}
#said{min-height:1.6rem;margin:.8rem 0 0}
#said.bad{color:var(--delete);font-weight:600}
#result .button{margin:.3rem 0 .6rem}
figure{margin:.8rem 0 0}
canvas{display:block;width:100%;max-width:26rem;border-radius:.5rem;background:#000;image-rendering:auto}
figcaption{margin-top:.4rem;color:var(--soft);font-size:.9rem}
.swatch{display:inline-block;width:.8rem;height:.8rem;margin-right:.5rem;border-radius:.2rem;vertical-align:-.05rem}
.copied{position:relative}
.copied button{position:absolute;top:.55rem;right:.55rem;background:var(--card)}
.copied pre{padding-right:5.5rem}
@media (max-width:40rem){.copied button{position:static;margin:-.4rem 0 0}.copied pre{padding-right:1rem;white-space:pre-wrap;overflow-wrap:anywhere}}
code{padding:.1em .35em;border-radius:.3em;background:var(--code);font:.9em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{margin:.5rem 0 1rem;padding:1rem;overflow-x:auto;border:1px solid var(--line);border-radius:.5rem;background:var(--card)}
pre code{padding:0;background:none;overflow-wrap:normal}
nav{position:sticky;top:0;display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;padding:.7rem 0;border-bottom:1px solid var(--line);background:var(--ground)}
a{color:var(--accent)}
nav a{font-weight:600;text-decoration:none}
nav a:hover{text-decoration:underline}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:.2rem}
.skip{position:absolute;left:-999rem}
.skip:focus{left:1rem;top:1rem;z-index:1;padding:.5rem 1rem;background:var(--card)}
section{scroll-margin-top:3rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));gap:1rem;margin:0;padding:0;list-style:none}
.card,article{padding:1.1rem 1.25rem;border:1px solid var(--line);border-radius:.7rem;background:var(--card)}
.card h3,article h3{margin:0 0 .2rem}
.card h3 code,article h3 code{padding:0;background:none}
.card p{margin:.3rem 0}
.meta,.note,.answer,.empty,footer{color:var(--soft)}
.chips{display:flex;flex-wrap:wrap;gap:.4rem;margin:.7rem 0 0;padding:0;list-style:none}
.chips li{padding:.05rem .65rem;border:1px solid var(--line);border-radius:1rem;font-size:.9rem}
article{margin:0 0 1rem}
article p{margin:.4rem 0}
.clients{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1rem;margin-bottom:1rem}
.clients article{margin:0}
.clients ol{margin:.3rem 0;padding-left:1.2rem}
.meta{display:flex;flex-wrap:wrap;gap:.2rem 1rem}
.endpoint{border:1px solid var(--line);border-radius:.6rem;background:var(--card);margin:0 0 .5rem}
.endpoint summary{display:flex;flex-wrap:wrap;gap:.15rem .8rem;align-items:baseline;padding:.65rem 1rem;cursor:pointer;list-style-position:inside}
.endpoint summary::-webkit-details-marker{display:none}
.endpoint summary::after{content:"";flex:none;align-self:center;width:.5rem;height:.5rem;margin-left:auto;border:solid var(--soft);border-width:0 2px 2px 0;transform:rotate(45deg)}
.endpoint[open] summary::after{transform:rotate(225deg)}
.endpoint summary code{padding:0;background:none;font-weight:600}
.endpoint .what{flex:1 1 14rem;color:var(--soft)}
.endpoint .inside{padding:0 1rem .8rem}
.endpoint .inside>.answer{margin:.5rem 0}
.method{display:inline-block;min-width:4.2rem;color:var(--get);font-size:.85rem;font-weight:700;letter-spacing:.03em}
.method.post{color:var(--post)}.method.put{color:var(--put)}.method.delete{color:var(--delete)}
.answer strong{color:var(--text)}
.table{overflow-x:auto;margin:.6rem 0}
table{width:100%;border-collapse:collapse;font-size:.95rem}
th,td{padding:.45rem .8rem .45rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
thead th{color:var(--soft);font-weight:600}
tbody th{font-weight:600}
footer{margin-top:3rem;border-top:1px solid var(--line);padding-top:1rem}
@media print{nav,.skip,form,button{display:none}body{max-width:none}}
`;
