// How the report looks: light or dark as the reader's system is, from a phone's width on. A mode
// and a selector have one colour wherever they appear.
#pragma once

namespace longhaul::eval {

inline constexpr const char* kReportStyle = R"(
:root { color-scheme: light dark;
  --ink: #1c1d22; --soft: #62656f; --rule: #dfe1e7; --page: #ffffff; --panel: #f6f7f9;
  --dense: #5d6370; --sparse: #c8500f; --resa: #12805c; --exact: #2358c4; --auto: #8a3fb3;
  --minmax: #0b7c93; --outlier: #b23a74; --gate: #7a6a00; --oracle: #5d6370; --window: #6a55b8; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e8e9ee; --soft: #a0a4b0; --rule: #33363f; --page: #15161a; --panel: #1d1f25;
  --dense: #a3a9b7; --sparse: #f28b4b; --resa: #4cc79a; --exact: #7da6ff; --auto: #c58be8;
  --minmax: #4fc3da; --outlier: #ee85b5; --gate: #d3c04c; --oracle: #a3a9b7; --window: #ab9bf0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1240px; padding: 24px 20px 60px; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 17px; margin: 40px 0 10px; }
.verdict { font-size: 18px; line-height: 1.45; max-width: 46em; margin: 18px 0; padding: 2px 0 2px 14px;
  border-left: 4px solid var(--exact); }
.soft, .notes { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 14px; margin: 14px 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--panel); border-radius: 6px; padding: 10px 12px; margin: 4px 0 12px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.plots { display: grid; gap: 26px 34px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 360px), 1fr));
  align-items: start; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 14px 4px 0; text-align: left; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
th { color: var(--soft); font-weight: 500; }
.number { text-align: right; }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 7px;
  background: var(--c); }
.notes { margin: 8px 0; padding: 0; list-style: none; font-size: 14px; }
details { border-bottom: 1px solid var(--rule); padding: 6px 0; }
summary { cursor: pointer; }
.lost { color: var(--sparse); font-weight: 600; }
svg { display: block; width: 100%; max-width: 560px; height: auto; font: 11px system-ui, sans-serif;
  overflow: visible; }
svg text { fill: var(--ink); } svg .label { fill: var(--soft); } svg .title { font-size: 13px; font-weight: 600; }
svg .grid { stroke: var(--rule); } svg .axis { stroke: var(--soft); }
.series polyline { fill: none; stroke: var(--c); stroke-width: 1.8; }
.series circle { fill: var(--c); } .series .interval { stroke: var(--c); stroke-width: 1.5; opacity: 0.7; }
.series .leader { stroke: var(--c); opacity: 0.4; } .series .rule { stroke: var(--c); stroke-dasharray: 4 3; }
svg .series .name { fill: var(--c); font-weight: 600; paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
.dense { --c: var(--dense); } .sparse { --c: var(--sparse); } .resa { --c: var(--resa); }
.exact { --c: var(--exact); } .auto { --c: var(--auto); }
.by-minmax { --c: var(--minmax); } .by-outlier { --c: var(--outlier); } .by-gate { --c: var(--gate); }
.by-oracle { --c: var(--oracle); } .by-window { --c: var(--window); }
)";

}  // namespace longhaul::eval
