# SPDX-License-Identifier: Apache-2.0
"""The report's style sheet: light and dark, desk and phone."""

# Colours after Okabe and Ito, darkened on white and lightened on black until
# text in them has a contrast of 4.5 : 1 or more.
CSS = """
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --soft: #57606a; --rule: #d0d7de;
  --raised: #f6f8fa; --link: #0b5cad; --good: #0a6b4c; --bad: #a63c00;
  --full: #1b1f24; --random: #7a5195; --ask_llm: #005f9e;
  --density: #00735a; --quality_classifier: #b34700; --perplexity: #a8216b;
  --other: #6b5d00; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #0f1317; --ink: #e6edf3; --soft: #9aa7b4; --rule: #343c45;
  --raised: #171c22; --link: #6cb6ff; --good: #4cc79a; --bad: #ff9a57;
  --full: #f0f3f6; --random: #cf9fe8; --ask_llm: #62b8f2;
  --density: #3cc9a0; --quality_classifier: #ff9a57; --perplexity: #ff8fc2;
  --other: #d8c64a; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main, header, footer { max-width: 1120px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 32px; } footer { padding-bottom: 40px; }
h1 { font-size: 1.05rem; color: var(--soft); font-weight: 600; margin: 0; }
h2 { font-size: 1.3rem; margin: 44px 0 10px; }
h3 { font-size: 1.02rem; margin: 22px 0 6px; }
p, li { max-width: 76ch; } .lead { font-size: 1.3rem; line-height: 1.4;
  margin: 10px 0 18px; font-weight: 600; text-wrap: pretty; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
a { color: var(--link); } code { overflow-wrap: anywhere; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; background: var(--paper); padding: 6px; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.verdicts { list-style: none; padding: 0; margin: 0; display: grid; gap: 10px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
.verdicts li { border: 1px solid var(--rule); background: var(--raised);
  border-left: 5px solid var(--soft); border-radius: 6px; padding: 10px 14px; }
.verdicts .beats { border-left-color: var(--good); }
.verdicts .does_not_beat { border-left-color: var(--bad); }
.verdicts b { display: block; }
.figures { display: grid; gap: 8px 36px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
figure { margin: 8px 0; min-width: 0; max-width: 620px; }
svg { display: block; height: auto; }
figcaption { margin-top: 6px; }
.scroll { overflow-x: auto; margin: 14px 0; }
table { border-collapse: collapse; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 8px; width: min(76ch, 100vw - 40px);
  position: sticky; left: 0; }
th, td { padding: 6px 14px 6px 0; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--rule); }
td { white-space: nowrap; } thead th { min-width: 4em; }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th[scope=row], th:first-child { text-align: left; position: sticky; left: 0;
  background: var(--paper); min-width: 6.5em; max-width: 20em; }
th.group { padding-top: 18px; max-width: none; }
.group span { position: sticky; left: 0; }
.under { display: block; color: var(--soft); font-size: .85em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 520px) { dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 8px; } main, header, footer { padding-left: 16px;
  padding-right: 16px; } th[scope=row], th:first-child { max-width: 7.5em;
  overflow-wrap: anywhere; } .lead { font-size: 1.12rem; } }
details { border: 1px solid var(--rule); border-radius: 6px; margin: 8px 0;
  padding: 0 14px; } details[open] { padding-bottom: 12px; }
summary { cursor: pointer; padding: 9px 0; font-weight: 600; }
.pair { display: grid; gap: 0 28px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); }
.pair > * { min-width: 0; }
.example { margin: 0 0 14px; } .example p { margin: 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; overflow: hidden;
  margin: 3px 0 0; padding: 8px 10px; background: var(--raised);
  border-radius: 4px; font: .82rem/1.45 ui-monospace, Menlo, Consolas,
  monospace; unicode-bidi: plaintext; contain: paint; max-width: 100%; }
.c-full { --c: var(--full); } .c-random { --c: var(--random); }
.c-ask_llm { --c: var(--ask_llm); } .c-density { --c: var(--density); }
.c-quality_classifier { --c: var(--quality_classifier); }
.c-perplexity { --c: var(--perplexity); } .c-other { --c: var(--other); }
.paper { fill: var(--paper); }
.grid { stroke: var(--rule); stroke-width: .8; }
.axis { stroke: var(--soft); stroke-width: 1; }
.tick { fill: var(--soft); font-size: 11.5px; }
.label { fill: var(--c); font-size: 12px; font-weight: 600; }
.band { fill: var(--c); opacity: .13; }
.curve { fill: none; stroke: var(--c); stroke-width: 1.8;
  stroke-linejoin: round; }
.dash-1 { stroke-dasharray: 7 3; } .dash-2 { stroke-dasharray: 2 2; }
.dash-3 { stroke-dasharray: 9 2 2 2; } .dash-4 { stroke-dasharray: 14 4; }
.width-1 { stroke-width: 1; } .width-2 { stroke-width: 3; }
.lead-line { fill: none; stroke: var(--c); stroke-width: .8; opacity: .7; }
.target { stroke: var(--full); stroke-width: 1.2; stroke-dasharray: 5 4; }
.seed { fill: none; stroke: var(--c); stroke-width: 1.5; }
.disc { fill: var(--c); stroke: var(--paper); stroke-width: .8; }
.ring { fill: var(--paper); stroke: var(--c); stroke-width: 1.8; }
.front { fill: none; stroke: var(--soft); stroke-width: 2.4; opacity: .55; }
.reference { stroke: var(--soft); stroke-width: 1.4; stroke-dasharray: 1.5 3; }
.tau { stroke: var(--rule); stroke-width: .6; }
.tau-plus { fill: var(--ask_llm); } .tau-minus { fill: var(--bad); }
.halo { stroke: var(--paper); stroke-width: 3; paint-order: stroke; }
.ink { fill: var(--ink); } .on { fill: var(--paper); }
.mean { stroke: var(--c); stroke-width: 3; }
.whisker { fill: none; stroke: var(--c); stroke-width: 1.2; opacity: .75; }
.bar { fill: var(--c); } .plain { fill: var(--soft); opacity: .55; }
@media print { details { break-inside: avoid; } }
"""
