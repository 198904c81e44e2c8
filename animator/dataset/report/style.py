"""How the report of a run looks: on a phone, on a desk, in the dark and on paper."""

STYLE = """
:root{color-scheme:light dark;--paper:#f7f5f0;--card:#fffefb;--ink:#1c2024;--soft:#5c6168;
--line:#e2ddd2;--track:#e9e4d9;--good:#22796b;--warn:#c98512;--bad:#bd3d2c;--tint:#e4efeb;
--serif:"Iowan Old Style","Palatino Linotype",Palatino,"URW Palladio L",P052,
Georgia,serif;--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
--mono:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--card:#1c2024;--ink:#e8e6e1;
--soft:#a3a8ae;--line:#2e3338;--track:#2a2f34;--good:#55b8a4;--warn:#e0a63f;--bad:#ec7c68;
--tint:#1d3531}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 var(--sans);
overflow-wrap:anywhere}
.page{max-width:1140px;margin:0 auto;padding:40px 28px 64px}
h1,h2,h3,p,dl,dd,ul,ol,figure{margin:0;padding:0}
h1{font:600 clamp(1.7rem,5vw,2.6rem)/1.15 var(--serif);letter-spacing:-.01em}
h2{font:600 1.5rem/1.25 var(--serif)}
h3{font:600 1rem/1.4 var(--sans)}
a{color:inherit;text-decoration-color:var(--soft);text-underline-offset:3px}
a:focus-visible,.scroll:focus-visible{outline:2px solid var(--good);outline-offset:3px}
code,.id{font:.86em/1.5 var(--mono)}
.soft{color:var(--soft)}
.small{font-size:.86rem}
.top{display:flex;flex-wrap:wrap;gap:10px 16px;align-items:center;margin-bottom:14px;
font-size:.9rem;color:var(--soft)}
.pill{padding:2px 12px;border-radius:99px;font-weight:600;background:var(--tint);
color:var(--good)}
.pill.waiting{background:var(--track);color:var(--ink)}
.progress{margin:28px 0 0}
.amount{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 14px;margin-bottom:12px}
.amount b{font:600 clamp(2.6rem,9vw,4rem)/1 var(--serif);font-variant-numeric:lining-nums}
.bar{display:flex;height:14px;border-radius:7px;overflow:hidden;background:var(--track)}
.part{height:100%;min-width:2px}
.part+.part{border-left:1px solid var(--card)}
.good{background:var(--good);fill:var(--good)}
.warn{background:var(--warn);fill:var(--warn)}
.bad{background:var(--bad);fill:var(--bad)}
.s1{background:#8c7bb8}.s2{background:#3f87b5}.s3{background:var(--good)}
.s4{background:var(--warn)}.s5{background:#8b9198}
.legend{display:flex;flex-wrap:wrap;gap:4px 22px;margin-top:10px;font-size:.92rem;list-style:none}
.legend li{display:flex;align-items:baseline;gap:8px}
.key{flex:none;width:.68em;height:.68em;border-radius:3px;display:inline-block}
.key.rest{background:var(--track);outline:1px solid var(--line)}
.facts{display:grid;grid-template-columns:repeat(6,minmax(0,1fr));gap:1px;
margin-top:28px;background:var(--line);border:1px solid var(--line);border-radius:12px;
overflow:hidden}
.facts div{background:var(--card);padding:14px 18px}
.facts dt{font-size:.84rem;color:var(--soft)}
.facts dd{font:600 1.45rem/1.3 var(--serif);font-variant-numeric:lining-nums}
.facts dd small{display:block;font:400 .8rem/1.4 var(--sans);color:var(--soft)}
nav{display:flex;flex-wrap:wrap;gap:4px 20px;margin-top:26px;font-size:.92rem}
section{margin-top:56px;padding-top:20px;border-top:1px solid var(--line)}
.lead{max-width:68ch;margin:6px 0 22px;color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr));gap:18px}
.cards.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr))}
.card{min-width:0;background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:16px 18px}
.card.plain{background:none;border-style:dashed}
.head{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:baseline;gap:0 12px}
.measure{display:flex;flex-direction:column}.measure figcaption{flex:1}
.better{font-size:.82rem;color:var(--good)}
svg{display:block;width:100%}
.histogram{margin:14px 0 4px}
.histogram svg{height:84px;border-bottom:1px solid var(--soft)}
.whisker{position:relative;height:16px}
.range{position:absolute;top:7px;height:2px;background:var(--ink)}
.dot{position:absolute;top:3px;width:10px;height:10px;margin-left:-5px;border-radius:50%;
background:var(--ink);border:2px solid var(--card)}
.ends{display:flex;justify-content:space-between;gap:12px;font-size:.8rem;color:var(--soft);
font-variant-numeric:tabular-nums}
.stats{display:grid;grid-template-columns:repeat(3,1fr);gap:8px;margin-top:10px}
.stats dt{font-size:.8rem;color:var(--soft)}
.stats dd{white-space:nowrap;font-weight:600;font-variant-numeric:tabular-nums}
.time svg{height:120px;margin:12px 0 6px;border-bottom:1px solid var(--soft)}
.area{fill:var(--good);opacity:.16}
.line{fill:none;stroke:var(--good);stroke-width:2;vector-effect:non-scaling-stroke}
.mean{fill:none;stroke:var(--soft);stroke-dasharray:4 4;vector-effect:non-scaling-stroke}
.sheet{margin-top:30px}
.sheet>p{margin:2px 0 14px}
.sheet>h3+.scroll{margin-top:10px}
.clip{padding:10px 10px 12px}
.strip{display:grid;grid-template-columns:repeat(4,1fr);gap:3px;border-radius:7px;overflow:hidden}
.strip.broad{grid-template-columns:repeat(2,1fr)}
.strip img{display:block;width:100%;height:auto;background:var(--track)}
.strip.tall img{max-height:180px;object-fit:contain}
.note{padding:26px 14px;border-radius:7px;background:var(--track);text-align:center;
font-size:.88rem}
.clip .head{margin:9px 4px 4px}
.values{display:flex;flex-wrap:wrap;gap:2px 14px;margin:0 4px;font-size:.8rem;color:var(--soft)}
.values b{font-weight:600;color:var(--ink);font-variant-numeric:tabular-nums}
.group{display:grid;grid-template-columns:minmax(0,270px) minmax(0,1fr);gap:10px 40px;
padding:22px 0;border-top:1px solid var(--line)}
.lead+.group{border-top:0;padding-top:0}
.group .bar{height:8px;margin:10px 0 5px}
.count{font:600 2rem/1.1 var(--serif);font-variant-numeric:lining-nums}
.group ul{list-style:none;font-size:.92rem;align-self:start}
.group li{display:grid;grid-template-columns:minmax(0,11em) minmax(0,1fr);gap:0 18px;
padding:7px 0;border-top:1px solid var(--line)}
.group li:first-child{border-top:0}
.group li .id{display:block}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:12px;background:var(--card)}
table{width:100%;border-collapse:collapse;font-size:.92rem}
th,td{padding:9px 16px;text-align:left;vertical-align:baseline;border-top:1px solid var(--line)}
thead th{border-top:0;font-size:.82rem;font-weight:600;color:var(--soft)}
th,td{white-space:nowrap}
th.n,td.n{text-align:right;font-variant-numeric:tabular-nums}
td.id{min-width:11em;white-space:normal}
.list{display:grid;grid-template-columns:minmax(7em,auto) minmax(0,1fr);font-size:.92rem}
.list dt,.list dd{padding:7px 0;border-top:1px solid var(--line)}
.list dt{color:var(--soft);padding-right:22px}
.list dt:first-of-type,.list dd:first-of-type{border-top:0}
footer{margin-top:56px;padding-top:16px;border-top:1px solid var(--line);font-size:.84rem;
color:var(--soft)}
@media (max-width:980px){.facts{grid-template-columns:repeat(3,minmax(0,1fr))}}
@media (max-width:760px){.group,.group li{grid-template-columns:minmax(0,1fr)}
.group li .id{display:inline;margin-right:10px}}
@media (max-width:560px){.page{padding:24px 16px 44px}section{margin-top:42px}
.facts{grid-template-columns:repeat(2,minmax(0,1fr))}.facts div{padding:12px 14px}
th,td{padding:8px 12px}}
@media print{:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--soft:#444;
--line:#ccc;--track:#e6e6e6;--good:#22796b;--warn:#c98512;--bad:#bd3d2c;--tint:#e4efeb}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}nav{display:none}
body{font-size:11pt}.page{max-width:none;padding:0}section{margin-top:28px}
.card,.group,tr{break-inside:avoid}h2,h3,.lead,.sheet>p{break-after:avoid}
p{orphans:4;widows:3}.scroll{overflow:visible}
.cards.wide{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px}
.group{grid-template-columns:minmax(0,2fr) minmax(0,5fr)}
.cards,.facts{grid-template-columns:repeat(3,minmax(0,1fr))}}
"""
