/** Without a colour of its own for either scheme but these. */
export const style = `
:root{--ink:#1b1f24;--soft:#59636e;--line:#d8dee4;--paper:#fff;--wash:#f6f8fa;--accent:#0a7a75;--on-accent:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;--line:#2d333b;--paper:#0f1318;--wash:#171c23;--accent:#3fc1b8;--on-accent:#06201f}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:1.5rem}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:var(--ink);background:var(--paper)}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.86em}
p code{background:var(--wash);border:1px solid var(--line);border-radius:4px;padding:.05em .35em;overflow-wrap:anywhere}
pre code{font-size:inherit}
footer code{overflow-wrap:anywhere}
a{color:var(--accent)}
header{padding:2.5rem max(1.25rem,calc(50vw - 31.75rem)) 2rem;background:var(--wash);border-bottom:1px solid var(--line)}
.brand{margin:0;color:var(--soft);font-size:.9rem;letter-spacing:.02em}
.brand b{color:var(--accent);letter-spacing:.12em}
h1{margin:.4rem 0;font-size:clamp(1.7rem,4vw,2.3rem);line-height:1.2;letter-spacing:-.01em}
.lead{margin:0 0 1.4rem;max-width:44rem;color:var(--soft)}
.address{display:flex;align-items:center;gap:.9rem;max-width:44rem;padding:.55rem .6rem .55rem 1rem;border:1px solid var(--line);border-radius:8px;background:var(--paper)}
.address span{color:var(--soft);font-size:.85rem}
.address code{flex:1;overflow-x:auto;white-space:nowrap;font-size:.95rem}
.columns{display:grid;grid-template-columns:13rem minmax(0,1fr);gap:3rem;max-width:66rem;margin:0 auto;padding:0 1.25rem}
nav{position:sticky;top:0;align-self:start;max-height:100vh;overflow-y:auto;padding:2rem 0;font-size:.92rem}
nav p{margin:1.1rem 0 .25rem;color:var(--soft);font-size:.78rem;font-weight:600;letter-spacing:.06em;text-transform:uppercase}
nav p:first-child{margin-top:0}
nav ul{margin:0;padding:0;list-style:none}
nav a{display:block;padding:.2rem 0;color:inherit;text-decoration:none}
nav a:hover{color:var(--accent)}
main{padding:1.5rem 0 4rem}
section{padding:.8rem 0 1.3rem}
section+section{border-top:1px solid var(--line)}
h2{margin:.6rem 0 .3rem;font-size:1.3rem;line-height:1.3}
section>p{margin:.3rem 0 .9rem}
figure{margin:0 0 1rem;border:1px solid var(--line);border-radius:8px;overflow:hidden}
figcaption{display:flex;align-items:center;justify-content:space-between;gap:1rem;padding:.35rem .4rem .35rem .9rem;border-bottom:1px solid var(--line);color:var(--soft);font-size:.85rem}
pre{margin:0;padding:.85rem .9rem;overflow-x:auto;background:var(--wash);line-height:1.5;tab-size:4}
button,.button{flex:none;padding:.25rem .75rem;border:1px solid var(--line);border-radius:6px;background:var(--paper);color:var(--ink);font:inherit;font-size:.85rem;cursor:pointer}
button:hover{border-color:var(--accent);color:var(--accent)}
.button{display:inline-block;padding:.4rem 1rem;border-color:var(--accent);background:var(--accent);color:var(--on-accent);text-decoration:none}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
footer{display:flex;flex-wrap:wrap;gap:.5rem 1.6rem;padding:1.4rem 0;border-top:1px solid var(--line);color:var(--soft);font-size:.92rem}
@media (max-width:52rem){.columns{grid-template-columns:minmax(0,1fr);gap:0}nav{position:static;max-height:none;padding:1.2rem 0 0}nav p{margin:.7rem 0 .1rem}nav ul{display:flex;flex-wrap:wrap;gap:0 1.1rem}}
`

// Where the page is neither https nor of this machine a browser has no clipboard for it: then the text is selected and copied the old way.
export const script = `
document.addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-copy]')
  if (button === null) return
  const source = document.getElementById(button.dataset.copy)
  let copied = true
  try {
    await navigator.clipboard.writeText(source.textContent)
  } catch {
    getSelection().selectAllChildren(source)
    copied = document.execCommand('copy')
  }
  button.textContent = copied ? 'Copied' : 'Selected'
  setTimeout(() => { button.textContent = 'Copy' }, 2000)
})
`
