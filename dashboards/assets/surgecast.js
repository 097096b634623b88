// What happens in the browser alone: colouring figures, tables of charts, filters in the address, opening calls,
// pausing while hidden. No state of the product lives here, and nothing is evaluated from text.
(function () {
  "use strict";

  const noUpdate = () => window.dash_clientside.no_update;
  const charts = new Map(); // graph name -> what the server last sent
  const PLACES = ["tenant", "trunk", "region", "node"];
  const DEFAULT_RANGE = "1h";
  let heardAt = null;
  let themes = null; // tokens and Plotly template of each scheme

  function scheme() {
    return document.documentElement.getAttribute("data-mantine-color-scheme") === "dark" ? "dark" : "light";
  }

  // --- colours: "@token" and "@token/alpha" become the values of the scheme in force -------------------

  function colour(text, tokens) {
    const [name, alpha] = text.slice(1).split("/");
    const hex = tokens[name];
    if (!hex) return text;
    if (alpha === undefined) return hex;
    const n = parseInt(hex.slice(1), 16);
    return `rgba(${n >> 16}, ${(n >> 8) & 255}, ${n & 255}, ${alpha})`;
  }

  const DATA_KEYS = new Set(["x", "y", "z", "customdata", "text"]);

  function resolve(value, tokens) {
    if (typeof value === "string") return value[0] === "@" ? colour(value, tokens) : value;
    if (Array.isArray(value)) return value.map((item) => resolve(item, tokens));
    if (value && typeof value === "object") {
      const out = {};
      for (const key of Object.keys(value)) {
        out[key] = DATA_KEYS.has(key) ? value[key] : resolve(value[key], tokens);
      }
      return out;
    }
    return value;
  }

  function figure(chart, theme) {
    const drawn = resolve(chart.figure, theme.tokens);
    drawn.layout.template = theme.template;
    return drawn;
  }

  function draw(changed, known) {
    themes = known;
    const asked = window.dash_clientside.callback_context.outputs_list; // no list where it is one
    const drawn = [].concat(asked).map((output) => {
      const name = output.id.replace(/-graph$/, "");
      const fresh = changed && changed[name];
      if (!fresh) return noUpdate();
      charts.set(name, fresh);
      return figure(fresh, themes[scheme()]);
    });
    return Array.isArray(asked) ? drawn : drawn[0];
  }

  new MutationObserver(() => {
    if (!themes) return;
    for (const [name, chart] of charts) {
      if (chart.figure && document.getElementById(`${name}-graph`)) {
        window.dash_clientside.set_props(`${name}-graph`, { figure: figure(chart, themes[scheme()]) });
      }
    }
  }).observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });

  // The server sends the ladder as SVG text with every value escaped; parsed as XML it runs nothing.
  function drawLadder(sent) {
    const target = document.getElementById("ladder-drawing");
    const ladder = sent && sent.ladder;
    if (!target || !ladder) return noUpdate();
    charts.set("ladder", ladder);
    const parsed = new DOMParser().parseFromString(ladder.svg, "image/svg+xml").documentElement;
    if (parsed.nodeName === "svg") target.replaceChildren(document.importNode(parsed, true));
    return String(ladder.table.rows.length);
  }

  // --- the same data as a table ----------------------------------------------------------------------

  const element = (type, props) => ({ namespace: "dash_html_components", type, props });

  function asTable(clicks) {
    const open = clicks % 2 === 1;
    const name = window.dash_clientside.callback_context.outputs_list[0].id.replace(/-table$/, "");
    const chart = charts.get(name);
    if (!open || !chart) return [null, true, "false"];
    const { columns, rows } = chart.table;
    const head = columns.map((text) => element("Th", { children: text, scope: "col" }));
    const newestFirst = name === "ladder" ? rows : rows.slice().reverse();
    const body = newestFirst
      .map((row) =>
        element("Tr", {
          children: row.map((text, i) =>
            i ? element("Td", { children: text }) : element("Th", { children: text, scope: "row" }),
          ),
        }),
      );
    const table = element("Table", {
      className: "data-table",
      children: [
        element("Caption", { children: chart.summary }),
        element("Thead", { children: element("Tr", { children: head }) }),
        element("Tbody", { children: body }),
      ],
    });
    return [table, false, "true"];
  }

  // --- where we are, and who we are ----------------------------------------------------------------------

  function markPage(path) {
    for (const link of document.querySelectorAll(".nav-link")) {
      const first = link.parentElement.firstElementChild === link;
      const here = path === link.getAttribute("href") || (first && path === "/");
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    return path || "/";
  }

  // --- what goes to the server -----------------------------------------------------------------------

  // A page's clock stands while its question is under way: Dash drops an answer once the next question is asked, so
  // a server slower than the clock would never be heard. In a hidden tab it stands too.
  const PAGES = ["live", "call", "calls", "capacity", "scaling", "incidents", "incident", "body"];
  const TICK = /"id":"(\w+)-tick","property":"n_intervals"/;
  const underWay = new Map(); // page -> questions

  function letTick(page) {
    if (!document.getElementById(`${page}-page`)) return;
    window.dash_clientside.set_props(`${page}-tick`, { disabled: document.hidden || underWay.get(page) > 0 });
  }

  function count(page, step) {
    if (!page) return;
    underWay.set(page, (underWay.get(page) || 0) + step);
    letTick(page);
  }

  document.addEventListener("visibilitychange", () => PAGES.forEach(letTick));

  // A session that has ended leads to the sign-in page, and from there back to this view.
  const ask = window.fetch.bind(window);
  window.fetch = (...request) => {
    const [, page] = TICK.exec((request[1] || {}).body) || [];
    count(page, 1);
    return ask(...request)
      .then((answer) => {
        if (answer.status === 401) {
          const view = window.location.pathname + window.location.search;
          window.location.assign(`/sign-in?next=${encodeURIComponent(view)}`);
        }
        return answer;
      })
      .finally(() => count(page, -1));
  };

  // --- filters live in the address -------------------------------------------------------------------

  function searchOf(range, places) {
    const query = new URLSearchParams();
    if (range && range !== DEFAULT_RANGE) query.append("range", range);
    PLACES.forEach((place, i) => (places[i] || []).slice().sort().forEach((value) => query.append(place, value)));
    const text = query.toString();
    return text ? `?${text}` : "";
  }

  function same(a, b) {
    return JSON.stringify(a) === JSON.stringify(b);
  }

  function syncFilters(search, range, ...places) {
    const triggered = window.dash_clientside.callback_context.triggered.map((t) => t.prop_id);
    const byUser = triggered.length > 0 && triggered.every((id) => id.startsWith("filter-"));
    const keep = [noUpdate(), ...PLACES.map(noUpdate)];
    if (byUser) {
      const wanted = searchOf(range, places);
      if (wanted !== (search || "")) window.dash_clientside.set_props("url", { search: wanted });
      return keep;
    }
    const query = new URLSearchParams(search || "");
    const chosen = query.get("range") || DEFAULT_RANGE;
    if (chosen !== range) keep[0] = chosen;
    PLACES.forEach((place, i) => {
      const values = query.getAll(place).sort();
      if (!same(values, (places[i] || []).slice().sort())) keep[i + 1] = values;
    });
    return keep;
  }

  function syncCapacity(search, chosen, ...values) {
    const names = ["of", "signal", "reach"];
    const triggered = window.dash_clientside.callback_context.triggered.map((t) => t.prop_id);
    const query = new URLSearchParams(search || "");
    const shown = [query.get("of") || (chosen || [])[0], query.get("signal") || (chosen || [])[1], query.get("reach") || "24h"];
    if (chosen && query.has("signal") && chosen[0] === shown[0] && chosen[1] !== shown[1]) shown[1] = chosen[1];
    const byUser = triggered.length === 1 && /^capacity-(of|signal|reach)\./.test(triggered[0]);
    if (byUser) {
      const place = names.indexOf(triggered[0].replace(/^capacity-(\w+)\..*$/, "$1"));
      if (values[place] && values[place] !== shown[place]) {
        query.set(names[place], values[place]);
        window.dash_clientside.set_props("url", { search: `?${query.toString()}` });
      }
      return names.map(noUpdate);
    }
    return shown.map((value, i) => (value && value !== values[i] ? value : noUpdate()));
  }

  const CALL_CONTROLS = ["range", "tenant", "trunk", "outcome", "code", "mos", "number", "to"];
  const DEFAULT_SPAN = "24h";

  function syncCalls(search, ...values) {
    const triggered = window.dash_clientside.callback_context.triggered.map((t) => t.prop_id);
    const byUser = triggered.length > 0 && triggered.every((id) => id.startsWith("calls-"));
    const query = new URLSearchParams(search || "");
    const shown = CALL_CONTROLS.map((name, i) => {
      if (Array.isArray(values[i])) return query.getAll(name).sort();
      return query.get(name) || (name === "range" ? DEFAULT_SPAN : "");
    });
    if (!byUser) return shown.map((value, i) => (same(value, sorted(values[i])) ? noUpdate() : value));
    const wanted = new URLSearchParams();
    CALL_CONTROLS.forEach((name, i) => {
      if (Array.isArray(values[i])) sorted(values[i]).forEach((value) => wanted.append(name, value));
      else if (values[i] && !(name === "range" && values[i] === DEFAULT_SPAN)) wanted.append(name, values[i].trim());
    });
    const unchanged = CALL_CONTROLS.every((_, i) => same(shown[i], sorted(values[i])));
    const text = wanted.toString();
    if (!unchanged) window.dash_clientside.set_props("url", { search: text ? `?${text}` : "" });
    return CALL_CONTROLS.map(noUpdate);
  }

  const sorted = (value) => (Array.isArray(value) ? value.slice().sort() : value || "");

  function syncScaling(search, chosen, ...values) {
    const names = ["pool", "reach"];
    const triggered = window.dash_clientside.callback_context.triggered.map((t) => t.prop_id);
    const query = new URLSearchParams(search || "");
    const shown = [query.get("pool") || (chosen || [])[0], query.get("reach") || "1h"];
    const byUser = triggered.length === 1 && /^scaling-(pool|reach)\./.test(triggered[0]);
    if (byUser) {
      const place = names.indexOf(triggered[0].replace(/^scaling-(\w+)\..*$/, "$1"));
      if (values[place] && values[place] !== shown[place]) {
        query.set(names[place], values[place]);
        if (place === 0) ["page", "decision"].forEach((name) => query.delete(name));
        window.dash_clientside.set_props("url", { search: `?${query.toString()}` });
      }
      return names.map(noUpdate);
    }
    return shown.map((value, i) => (value && value !== values[i] ? value : noUpdate()));
  }

  function syncIncidents(search, state, severity, scope) {
    const triggered = window.dash_clientside.callback_context.triggered.map((t) => t.prop_id);
    const byUser = triggered.length > 0 && triggered.every((id) => id.startsWith("incidents-"));
    const query = new URLSearchParams(search || "");
    const sorted = (values) => (values || []).slice().sort();
    if (byUser) {
      const wanted = new URLSearchParams();
      if (state && state !== "open") wanted.append("state", state);
      sorted(severity).forEach((value) => wanted.append("severity", value));
      sorted(scope).forEach((value) => wanted.append("scope", value));
      const text = wanted.toString();
      if (text !== query.toString()) window.dash_clientside.set_props("url", { search: text ? `?${text}` : "" });
      return [noUpdate(), noUpdate(), noUpdate()];
    }
    const shown = query.get("state") || "open";
    const severities = query.getAll("severity").sort();
    const scopes = query.getAll("scope").sort();
    return [
      shown === state ? noUpdate() : shown,
      same(severities, sorted(severity)) ? noUpdate() : severities,
      same(scopes, sorted(scope)) ? noUpdate() : scopes,
    ];
  }

  function copyLink() {
    const done = () => window.dash_clientside.set_props("copy-link-text", { children: "Copied" });
    const back = () => window.dash_clientside.set_props("copy-link-text", { children: "Copy link" });
    if (navigator.clipboard) navigator.clipboard.writeText(window.location.href).then(done, back);
    window.setTimeout(back, 2000);
    return noUpdate();
  }

  // --- opening a call ---------------------------------------------------------------------------------

  function callPath(id) {
    return `/call/${encodeURIComponent(id)}`;
  }

  function openCall(submitted, value) {
    const id = (value || "").trim();
    return submitted && id ? callPath(id) : noUpdate();
  }

  function rowOf(target) {
    const row = target.closest ? target.closest(".call-grid .ag-center-cols-container .ag-row, .call-grid .ag-row") : null;
    return row ? row.getAttribute("row-id").split("\t").pop() : null;
  }

  function go(path) {
    window.dash_clientside.set_props("url", { pathname: path, search: "" });
    window.scrollTo(0, 0);
  }

  document.addEventListener("click", (event) => {
    const id = rowOf(event.target);
    if (id) go(callPath(id));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const id = rowOf(event.target);
    if (id) go(callPath(id));
  });

  // --- how long ago the server was heard ---------------------------------------------------------------

  function heard(beat) {
    if (beat) {
      heardAt = performance.now();
      window.dash_clientside.set_props("as-of", { children: beat.as_of });
    }
    return noUpdate();
  }

  window.setInterval(() => {
    const clock = document.getElementById("as-of-age");
    if (!clock || heardAt === null) return;
    const age = Math.round((performance.now() - heardAt) / 1000);
    const text = age > 6 ? `no answer for ${age} s` : "live";
    if (clock.dataset.text === text) return;
    clock.dataset.text = text;
    clock.classList.toggle("lost", age > 6);
    window.dash_clientside.set_props("as-of-age", { children: text });
  }, 1000);

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    surgecast: {
      draw, drawLadder, asTable, syncFilters, syncCapacity, syncCalls, syncScaling, syncIncidents, copyLink, openCall,
      heard, markPage,
    },
  });
})();
