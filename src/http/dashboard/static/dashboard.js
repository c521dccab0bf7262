// What pages do beyond links and forms: they are read again, heed keys, copy, count ticks, and show times in either zone.
// Without it everything works.
(() => {
  'use strict';
  const $ = (selector, within) => (within || document).querySelector(selector);
  const all = (selector, within) => [...(within || document).querySelectorAll(selector)];
  const live = () => $('#live');
  document.documentElement.classList.add('scripted');

  // ---- The page is read again when something happened, but not under somebody's hands.

  const stream = $('#stream');
  const state = $('#state');
  const OFTEN = 2000;
  let halted = false, stale = false, read = 0, told = 0, away = false, missed = 0, tag = '';

  // Why the page must stay as it is; empty: it need not.
  function holds() {
    const page = live();
    if (halted) return 'halted';
    const ticked = all('.tick:checked', page).length;
    if (ticked) return ticked + ' ticked';
    if ($('dialog[open]')) return 'a question is open';
    if ($('details[open]:not(.stays)', page)) return 'something is open';
    const focus = document.activeElement;
    if (focus && page.contains(focus) && focus.matches('input, textarea, select')) return 'you type';
    const selection = document.getSelection();
    if (selection && !selection.isCollapsed && page.contains(selection.anchorNode)) return 'text is marked';
    return '';
  }

  function show() {
    if (!state) return;
    const why = holds();
    const text = away ? 'not reached, trying again'
      : why ? 'paused: ' + why + (missed ? ' · ' + missed + ' new' : '') + ' · resume'
      : 'live';
    state.className = 'state js' + (away ? ' away' : why ? ' held' : '');
    const span = $('span', state);
    if (span.textContent !== text) span.textContent = text;
  }

  function turn() {
    const now = Date.now();
    // Without a stream it is asked now and then.
    if (now - told > 5000) stale = true;
    if (stale && !document.hidden && !holds() && now - read >= OFTEN && window.htmx) {
      stale = false;
      read = now;
      htmx.trigger(live(), 'refresh');
    }
    show();
  }

  function resume() {
    halted = false;
    missed = 0;
    all('.tick:checked').forEach(tick => { tick.checked = false; });
    all('details[open]:not(.stays)', live()).forEach(details => { details.open = false; });
    const selection = document.getSelection();
    if (selection) selection.removeAllRanges();
    if (document.activeElement) document.activeElement.blur();
    stale = true;
    read = 0;
    turn();
  }

  if (state) {
    setInterval(turn, 1000);
    if (stream) {
      const topics = new URL(stream.getAttribute('hx-sse:connect'), location.href).searchParams.get('topics') || '';
      topics.split(',').forEach(topic => stream.addEventListener(topic, () => {
        told = Date.now();
        stale = true;
        if (topic === 'failed' && holds()) missed += 1;
      }));
    }
    document.addEventListener('visibilitychange', () => { if (!document.hidden) { stale = true; turn(); } });
    $('[data-halt]', state).addEventListener('click', () => {
      if (holds()) resume(); else { halted = true; show(); }
    });
    document.addEventListener('htmx:config:request', event => {
      const { ctx } = event.detail;
      if (ctx.sourceElement === live() && tag) ctx.request.headers['If-None-Match'] = tag;
    });
    document.addEventListener('htmx:after:request', event => {
      const { ctx } = event.detail;
      if (ctx.sourceElement !== live()) return;
      away = ctx.response.status >= 500;
      if (ctx.response.status === 401) location.reload();
      if (ctx.response.status === 200) tag = ctx.response.headers.get('ETag') || '';
      show();
    });
    document.addEventListener('htmx:error', () => { away = true; show(); });
    // Somebody began to tick or type while the answer was under way.
    document.addEventListener('htmx:before:swap', event => {
      const ctx = event.detail.ctx;
      if (ctx && ctx.sourceElement === live() && holds()) { tag = ''; stale = true; event.preventDefault(); }
    });
    document.addEventListener('htmx:after:swap', () => { dress(); show(); });
  }

  // ---- Times: beside now, and in full in the zone that was chosen.

  let zone = 'local';
  try { zone = localStorage.getItem('windlass-zone') || 'local'; } catch { /* it is not kept */ }

  function span(ms) {
    const s = Math.floor(ms / 1000);
    if (s < 60) return s + ' s';
    if (s < 3600) return Math.floor(s / 60) + ' min';
    const h = Math.floor(s / 3600);
    return h < 24 ? h + ' h' : Math.floor(h / 24) + ' d' + (h % 24 ? ' ' + (h % 24) + ' h' : '');
  }

  function dress() {
    const now = Date.now();
    all('time[datetime]').forEach(time => {
      const at = new Date(time.dateTime);
      if (isNaN(at)) return;
      time.title = zone === 'utc' ? at.toISOString().replace('T', ' ').replace(/\.\d+Z/, ' UTC')
        : at.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'long' });
      const ago = now - at;
      const text = time.classList.contains('full') ? time.title
        : Math.abs(ago) < 1000 ? 'now' : ago > 0 ? span(ago) + ' ago' : 'in ' + span(-ago);
      if (time.textContent !== text) time.textContent = text;
    });
    all('[data-zone-switch]').forEach(button => { button.textContent = zone === 'utc' ? 'UTC' : 'local time'; });
    ticks();
    mark(current());
  }
  setInterval(dress, 10000);

  // ---- Ticks.

  let last = null;

  function ticks() {
    const count = all('.tick:checked').length;
    all('[data-ticked]').forEach(place => { place.textContent = count; });
    const boxes = all('.tick');
    all('.tick-all').forEach(box => {
      box.checked = count > 0 && count === boxes.length;
      box.indeterminate = count > 0 && count < boxes.length;
    });
    show();
  }

  function tick(box, range) {
    const boxes = all('.tick');
    if (range && last && boxes.includes(last)) {
      const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
      boxes.slice(from, to + 1).forEach(one => { one.checked = last.checked; });
    }
    last = box;
    ticks();
  }

  // ---- Rows and keys.

  let row = null;

  function current() { return row && document.getElementById(row); }

  function mark(next) {
    all('.here').forEach(one => { if (one !== next) one.classList.remove('here'); });
    if (!next) return;
    row = next.id;
    next.classList.add('here');
  }

  function move(by) {
    const rows = all('[data-row]');
    const at = rows.indexOf(current());
    const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + by))];
    if (!next) return;
    mark(next);
    next.scrollIntoView({ block: 'nearest' });
  }

  // Capitals act: on what is ticked, else on the row, else on the page. They ask first.
  function act(key) {
    const ticked = all('.tick:checked').length;
    const here = ticked ? $('.tickbar') : current();
    const button = (here && $('[data-act="' + key + '"]', here)) || (!ticked && !here && $('[data-act="' + key + '"]', live()));
    if (!button) return;
    const ask = $('#ask');
    const name = here && $('a', here) ? ' ' + $('a', here).textContent : '';
    $('p', ask).textContent = (button.dataset.ask || button.textContent + name + '?').replace('{n}', ticked || 1);
    ask.returnValue = '';
    ask.onclose = () => {
      if (ask.returnValue === 'y') button.form.requestSubmit(button);
      show();
    };
    ask.showModal();
  }

  let leads = 0;

  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const asks = $('#ask[open]');
    if (asks) {
      const answer = event.key.toLowerCase();
      if (answer === 'y' || answer === 'n') { event.preventDefault(); asks.close(answer); }
      return;
    }
    if (event.target.matches('input:not([type=checkbox]), textarea, select, [contenteditable]')) {
      if (event.key === 'Escape') event.target.blur();
      return;
    }
    if (leads && Date.now() - leads < 1500) {
      leads = 0;
      const link = $('[data-go="' + CSS.escape(event.key) + '"]');
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const done = () => event.preventDefault();
    switch (event.key) {
      case 'g': leads = Date.now(); break;
      case '?': done(); $('#keys').open ? $('#keys').close() : $('#keys').showModal(); break;
      case '/': { const box = $('[data-filter]'); if (box) { done(); box.focus(); box.select(); } break; }
      case 'j': done(); move(1); break;
      case 'k': done(); move(-1); break;
      case 'x': case 'X': {
        const box = current() && $('.tick', current());
        if (box && (event.key === 'x' || event.shiftKey)) { done(); if (event.key === 'x') box.checked = !box.checked; tick(box, event.key === 'X'); }
        break;
      }
      case 'Enter': {
        if (event.target.closest('a, button, summary')) break;
        const link = current() && ($('a[data-open]', current()) || $('a', current()));
        if (link) { done(); link.click(); }
        break;
      }
      case '.': if (state) { done(); if (holds()) resume(); else { halted = true; show(); } } break;
      case 'Escape': resume(); mark(null); row = null; break;
      case 'R': case 'D': case 'P': done(); act(event.key); break;
    }
  });

  // ---- Buttons.

  function copied(button) {
    const text = button.textContent;
    button.textContent = 'copied';
    setTimeout(() => { button.textContent = text; }, 1200);
  }

  async function copy(button) {
    const text = button.dataset.copy.replaceAll('{origin}', location.origin);
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Over plain HTTP there is no clipboard.
      const area = document.createElement('textarea');
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    copied(button);
  }

  document.addEventListener('click', event => {
    const button = event.target.closest('button');
    if (button && button.dataset.copy !== undefined) copy(button);
    else if (button && button.dataset.keys !== undefined) $('#keys').showModal();
    else if (button && button.dataset.zoneSwitch !== undefined) {
      zone = zone === 'utc' ? 'local' : 'utc';
      try { localStorage.setItem('windlass-zone', zone); } catch { /* it is not kept */ }
      dress();
    } else if (event.target.matches('.tick')) tick(event.target, event.shiftKey);
    else if (event.target.matches('.tick-all')) {
      all('.tick').forEach(box => { box.checked = event.target.checked; });
      ticks();
    } else if (!event.target.closest('a, button, summary, input, label')) {
      const here = event.target.closest('[data-row]');
      if (here) mark(here);
      // One menu is open at a time.
      all('details.menu[open]').forEach(menu => { if (!menu.contains(event.target)) menu.open = false; });
    }
  });
  document.addEventListener('toggle', show, true);
  document.addEventListener('focusin', show);
  document.addEventListener('focusout', () => setTimeout(show));

  dress();
})();
