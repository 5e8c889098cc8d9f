"""The style sheet of the page: light and dark, from a phone to a screen on the wall. It refers to nothing outside."""

STYLE = """
:root {
  color-scheme: light dark;
  --back: #eef1f5; --panel: #ffffff; --ink: #14181f; --soft: #515b6b; --line: #cfd6df; --track: #e3e8ee;
  --good: #17692f; --bad: #b3121f; --warn: #7c5200; --busy: #0a55b0; --muted: #515b6b; --on: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #0c1016; --panel: #151b23; --ink: #e9eef5; --soft: #a3afbf; --line: #303a48; --track: #252e3a;
    --good: #4cc46a; --bad: #ff8580; --warn: #e8b949; --busy: #6cb0ff; --muted: #a3afbf; --on: #0c1016;
  }
}
* { box-sizing: border-box; }
html { font: clamp(16px, 12px + 0.5vw, 30px)/1.4 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--back); color: var(--ink); overflow-wrap: anywhere; }
header, main, footer { padding: 0 clamp(12px, 1.5vw, 40px); }
h1, h2, h3, p, ul { margin: 0; padding: 0; }
ul { list-style: none; }
b { font-weight: 650; }
a { color: inherit; }
code, .said { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .9em; }

header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1.2rem; padding-block: .8rem; }
h1 { font-size: 1.5rem; }
.when { color: var(--soft); }
.when b { color: var(--ink); font-size: 1.2em; }
.glance { flex-basis: 100%; display: flex; flex-wrap: wrap; gap: .1rem 1.4rem; font-size: 1.15rem; }
.glance b { font-size: 1.35em; }
.troubles { flex-basis: 100%; }
.troubles ul { display: flex; flex-wrap: wrap; gap: .1rem 1.6rem; }
.troubles a { font-weight: 650; }

.state { font-weight: 650; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.busy { color: var(--busy); } .muted { color: var(--muted); }

.hosts { columns: 21rem; column-gap: .8rem; margin-bottom: .8rem; }
.hosts.quiet { columns: 14rem; }
.host { break-inside: avoid; margin-bottom: .8rem; }
main > h2 { font-size: 1.2rem; margin-bottom: .4rem; }
.host, .timeline {
  background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; min-width: 0;
}
.host { overflow: hidden; }
.host.stale { border: 2px dashed var(--warn); }
.host h2 { display: flex; justify-content: space-between; align-items: baseline; gap: .6rem; font-size: 1.2rem; }
.age { color: var(--soft); font-size: .8rem; font-weight: 400; flex: none; }
.stale li .state { color: var(--soft); }
h3 { color: var(--soft); font-size: .8rem; margin-top: .6rem; text-transform: uppercase; letter-spacing: .04em; }

.bars { display: grid; grid-template-columns: auto 1fr 3em; gap: .15rem .6rem; align-items: center; margin: .4rem 0; }
.bars b { text-align: right; font-variant-numeric: tabular-nums; }
.bar { display: block; width: 100%; height: .8em; background: var(--track); border-radius: .25em; overflow: hidden; }
.bar.unknown { background: none; border: 1px dashed var(--soft); }
.bar.calm rect { fill: var(--good); } .bar.high rect { fill: var(--warn); } .bar.full rect { fill: var(--bad); }
.stale .bar rect { fill: var(--soft); }

.item { display: grid; grid-template-columns: 1fr auto; gap: 0 .8rem; padding: .3rem 0; }
li + li .item { border-top: 1px solid var(--line); }
.item > * { grid-column: 1 / -1; min-width: 0; }
.item .head { grid-column: 1; }
.item .figure { grid-column: 2; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts { display: flex; flex-wrap: wrap; gap: 0 .9rem; color: var(--soft); font-size: .85rem; }
.facts > * { min-width: 0; }
.said { color: var(--soft); border-left: .2rem solid var(--line); padding-left: .5rem; }
.empty { color: var(--soft); margin-top: .4rem; }
.notice { color: var(--warn); font-size: .9rem; }
.quiet .host { padding-block: .4rem; }
.quiet .host h2 { font-size: 1rem; }
.quiet .cost { margin-top: -1.7rem; }
.cost { padding-top: .5rem; text-align: right; color: var(--soft); }
.cost b { color: var(--ink); font-size: 1.1em; }
main > details { margin-bottom: .8rem; }
summary { cursor: pointer; padding: .25rem 0; color: var(--soft); }

.timeline h2 { font-size: 1.2rem; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .2rem 0 .5rem; }
.row { display: grid; grid-template-columns: 1fr; padding: .3rem 0; border-top: 1px solid var(--line); }
.row > * { min-width: 0; }
.row h3 { margin: 0; color: var(--ink); font-size: .95rem; text-transform: none; letter-spacing: 0; }
.row summary { font-size: .85rem; }
.row summary .state, .legend .state { display: inline-block; max-width: 100%; }
.row summary .state { margin-right: .5rem; }
.row small { color: var(--soft); }
.row li { padding: .15rem 0; }
.axis { border: 0; padding: 0; }
.lanes, .times { display: block; width: 100%; font-size: .85rem; overflow: hidden; }
.times text { fill: var(--soft); }
.lanes { background: var(--track); border-radius: .25em; }
.grid { stroke: var(--line); }
.run rect { stroke: var(--panel); }
.run text { fill: var(--on); }
.run.good rect { fill: var(--good); } .run.bad rect { fill: var(--bad); } .run.warn rect { fill: var(--warn); }
.run.busy rect { fill: var(--busy); } .run.muted rect { fill: var(--muted); }
.run.going rect { fill: var(--panel); stroke-width: 2; stroke-dasharray: 6 3; }
.run.going.busy rect { stroke: var(--busy); } .run.going.good rect { stroke: var(--good); }
.run.going.bad rect { stroke: var(--bad); } .run.going.warn rect { stroke: var(--warn); }
.run.going.muted rect { stroke: var(--muted); }
.run.going text { fill: var(--ink); }
.run .mark { fill: currentColor; font-weight: 700; stroke: var(--track); stroke-width: 4px; paint-order: stroke; }

footer { padding-block: .8rem 1.2rem; font-size: 1.1rem; }

@media (min-width: 900px) {
  .row { grid-template-columns: 11rem 1fr; column-gap: .8rem; }
  .row h3 { grid-row: span 2; }
  .row details { grid-column: 2; }
}
"""
