"""A page as Debian's Chromium shows it, headless: measured by a script that is put into a copy of it."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

# Runs in the page. What is measured is what a person would trip over: something sticks out, a text can't be read.
_MEASURE = """
<script>
addEventListener('load', () => {
  const rgb = text => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
  };
  const seen = e => { const b = e.getBoundingClientRect(); return b.width > 0 && b.height > 0; };
  const inScroller = e => e.closest('.scroll') && !e.matches('.scroll');
  const faint = [], wide = [], small = [];
  for (const e of document.body.querySelectorAll('*')) {
    if (!seen(e) || e.closest('svg')) continue;
    if (!inScroller(e) && e.getBoundingClientRect().right > innerWidth + 0.5) wide.push(e.outerHTML.slice(0, 120));
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const style = getComputedStyle(e), back = behind(e);
    const [a, b] = [light(rgb(style.color)), light(back)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push([e.outerHTML.slice(0, 120), style.color, String(back)]);
    if (parseFloat(style.fontSize) < 11) small.push(e.outerHTML.slice(0, 120));
  }
  const figures = [...document.querySelectorAll('figure')].filter(seen).map(f => ({
    title: f.querySelector('figcaption').firstChild.data,
    strokes: [...f.querySelectorAll('path.line')].map(p => {
      const b = p.getBoundingClientRect(), s = f.querySelector('svg').getBoundingClientRect();
      return {points: p.getAttribute('d').split(/[ML]/).length - 1, width: b.width / s.width,
        inside: b.left >= s.left - 1.5 && b.right <= s.right + 1.5
          && b.top >= s.top - 1.5 && b.bottom <= s.bottom + 1.5,
        contrast: (([x, y]) => (x + 0.05) / (y + 0.05))(
          [light(rgb(getComputedStyle(p).stroke)), light(behind(f.querySelector('svg')))].sort((x, y) => y - x))};
    }),
    gaps: f.querySelectorAll('rect.gap').length, hovers: f.querySelectorAll('rect.h title').length,
  }));
  const result = {
    width: innerWidth, scrollWidth: document.documentElement.scrollWidth,
    dark: matchMedia('(prefers-color-scheme: dark)').matches, back: getComputedStyle(document.body).backgroundColor,
    faint, wide, small, figures, title: document.title, text: document.body.innerText,
    bars: [...document.querySelectorAll('.bars li')].map(li => [li.querySelector('.n').textContent,
      [...li.querySelectorAll('.bar')].reduce((sum, b) => sum + b.getBoundingClientRect().width, 0)]),
    statements: [...document.querySelectorAll('.statements li')].map(li => [li.querySelector('code').textContent,
      li.querySelector('.bar').getBoundingClientRect().width]),
    external: performance.getEntriesByType('resource').map(r => r.name),
    elements: [...new Set([...document.querySelectorAll('*')].map(e => e.localName))],
  };
  parent.postMessage(JSON.stringify(result), '*');
});
</script>
"""

# The page stands in a frame, because a window can't be as narrow as a phone; media queries go by the frame.
_AROUND = """<!doctype html><meta charset=utf-8><style>body{{margin:0}}iframe{{border:0;display:block}}
:root{{color-scheme:light dark}}</style><iframe src="{page}" width={width} height={height}></iframe>
<pre id=result hidden></pre>
<script>addEventListener('message', e => document.getElementById('result').textContent = e.data)</script>"""


def measure(
    page: str, directory: Path, width: int, dark: bool, height: int = 3000
) -> dict[str, Any]:
    """What the browser made of a page.

    Returns:
        sizes, colours and marks as measured; ``screenshot`` is a picture of it.
    """
    chromium = shutil.which("chromium")
    assert chromium, "this test looks at the page with chromium: `make browser` installs it"
    inner, outer = directory / "page.html", directory / "around.html"
    inner.write_text(page + _MEASURE, encoding="utf-8")
    outer.write_text(_AROUND.format(page=inner.name, width=width, height=height), encoding="utf-8")
    picture = directory / f"{width}{'-dark' if dark else ''}.png"
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--user-data-dir={directory / 'profile'}",
        f"--window-size={max(width, 500)},{height}", "--virtual-time-budget=2000", "--allow-file-access-from-files",
    ]  # fmt: skip

    done = subprocess.run(
        [*command, f"--screenshot={picture}", "--dump-dom", outer.as_uri()],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.search(r"<pre id=.result.[^>]*>(.*?)</pre>", done.stdout, re.DOTALL)
    assert found and found[1], f"the page's script did not answer: {done.stderr[-2000:]}"
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result | {"screenshot": picture}
