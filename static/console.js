// The little that pages need beyond HTML: dialogs, charts, copying, the theme, toasts, the time zone. Everything else works without.

const { plotly: plotlyUrl, chartTemplate: chartTemplateUrl } = document.currentScript.dataset;
const dark = matchMedia("(prefers-color-scheme: dark)");
const scheme = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");

// --- Dialogs: the server draws one `open` when its form has errors or the address asks for it; here it becomes modal.

let asker;

function openDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]:not(:modal)")) {
    dialog.removeAttribute("open");
    // Where one was goes on being where one is once it is closed.
    if (asker?.isConnected) asker.focus({ preventScroll: true });
    dialog.showModal();
  }
}

// A closed dialog is not asked for any more, so a reload does not bring it back; one with an address of its own gives way to
// that of the page under it, <div data-under="address">. `close` does not bubble.
document.addEventListener("close", ({ target }) => {
  const url = new URL(target.closest("[data-under]")?.dataset.under ?? location.href, location.href);
  if (url.searchParams.get("dialog") === target.id) url.searchParams.delete("dialog");
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}, true);

// Browsers without invokers: <button commandfor="x" command="show-modal">.
if (!("commandForElement" in HTMLButtonElement.prototype)) {
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("button[commandfor]");
    const dialog = button && document.getElementById(button.getAttribute("commandfor"));
    if (!dialog) return;
    if (button.getAttribute("command") === "close") dialog.close();
    else dialog.showModal();
  });
}

// A menu's item that opens a dialog leaves the menu behind.
document.addEventListener("click", ({ target }) => {
  const item = target.closest("[popover] button[commandfor], [popover] button[data-copy]");
  item?.closest("[popover]").hidePopover();
});

// --- Charts: <div data-figure="x"> is drawn from <script type="application/json" id="x">, a figure without colours.

let plotlyLoading;
let chartTemplates;

function loadPlotly() {
  plotlyLoading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = plotlyUrl;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
  return plotlyLoading;
}

async function drawCharts() {
  const divs = document.querySelectorAll("[data-figure]");
  if (!divs.length) return;
  chartTemplates ??= fetch(chartTemplateUrl).then((response) => response.json());
  const [templates] = await Promise.all([chartTemplates, loadPlotly()]);
  const { config, other, [scheme()]: template } = templates;
  for (const div of divs) {
    const figure = document.getElementById(div.dataset.figure);
    // htmx may have taken the chart away while its script was on the way.
    if (!figure || !div.isConnected) continue;
    const { data, layout } = JSON.parse(figure.textContent);
    const only = [...document.querySelectorAll("[data-isolate]")].find((button) => button.ariaPressed === "true");
    const ink = template.layout.hoverlabel.font.color;
    data.forEach((trace, place) => {
      // All stand over the same places, which are sent once.
      trace.x ??= layout.xaxis.categoryarray;
      // By its place among all, also when it is shown alone.
      const color = trace.meta === "other" ? other[scheme()] : template.layout.colorway[place];
      if (trace.type === "bar") trace.marker = { ...trace.marker, color };
      // Bars of a few pixels have no room for the lines between them.
      if (trace.type === "bar" && div.clientWidth < 6 * trace.x.length) trace.marker.line = { width: 0 };
      if (trace.meta === "total") trace.line = { color: template.layout.font.color, width: 1, shape: "hvh" };
      if (trace.meta === "before") trace.line = { color: ink, dash: "dot" };
      if (layout.meta?.unit === "usd" && trace.hoverinfo !== "skip") trace.hovertemplate = trace.y.map(usd);
      // What is not over yet, or only a part of it, is paler.
      if (trace.type === "bar" && layout.meta?.partial) {
        trace.marker = { ...trace.marker, opacity: trace.y.map((_, n) => (layout.meta.partial.includes(n) ? 0.55 : 1)) };
      }
      // Of many groups, only those that had something at that time are named there.
      if (trace.type === "bar" && data.length > 1) trace.y = trace.y.map((height) => height || null);
      if (only) trace.visible = place === Number(only.dataset.isolate);
    });
    const { tickvals } = layout.xaxis ?? {};
    // As many words under a narrow chart as find room.
    if (tickvals && div.clientWidth < 60 * tickvals.length) {
      const kept = (_, n) => n % 2 === 0;
      Object.assign(layout.xaxis, { tickvals: tickvals.filter(kept), ticktext: layout.xaxis.ticktext.filter(kept) });
    }
    const said = div.dataset.usage && document.getElementById("shown");
    if (said) said.textContent = div.getAttribute("aria-label");
    await Plotly.react(div, data, { ...layout, template }, config);
    if (div.dataset.usage && !("drills" in div.dataset)) {
      div.dataset.drills = "";
      div.on("plotly_click", ({ points }) => drill(div, layout.meta.drill, points[0].pointNumber));
    }
  }
}

// To the cent, or with as many digits as a small amount needs.
const usd = (amount) => (amount >= 1 || !amount ? "%{y:$,.2f}" : "%{y:$.4~r}");

// A click on a bar of the usage chart leads to what is inside, as the links of the table by time do.
function drill(div, where, place) {
  const [from, to] = [where.spans[place]].flat();
  const query = new URLSearchParams({ from, to: to ?? from });
  const address = `${div.dataset.usage}?${query}${where.query && `&${where.query}`}`;
  // Inside of the finest bars are single requests, on a page of their own.
  if (div.dataset.usage !== location.pathname) location.assign(address);
  else htmx.ajax("GET", address, { source: div, target: "#usage", swap: "outerHTML show:none" });
}

// One group alone, or all of them again: <button data-isolate="number of the series" aria-pressed>.
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-isolate]");
  if (!button) return;
  const isolates = button.ariaPressed !== "true";
  for (const one of document.querySelectorAll("[data-isolate]")) one.ariaPressed = one === button && isolates;
  drawCharts();
});

dark.addEventListener("change", drawCharts);

// --- Theme: shown at once, kept with the account.

document.addEventListener("change", ({ target }) => {
  const form = target.closest("[data-theme-form]");
  if (!form) return;
  if (target.value) document.documentElement.dataset.theme = target.value;
  else delete document.documentElement.dataset.theme;
  drawCharts();
  fetch(form.action, { method: "POST", body: new FormData(form), redirect: "manual" });
});

// --- Filters: choosing is asking. Without script their form has a button.

document.addEventListener("change", ({ target }) => {
  if (target.matches("form.filters:not([hx-get]) :is(select, [type=radio], [type=date])")) target.form.requestSubmit();
});

// --- Copying

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.dataset.done = "";
  setTimeout(() => delete button.dataset.done, 1500);
});

// --- Toasts

function toast({ text, tone, icon }) {
  const note = document.getElementById("toast").content.firstElementChild.cloneNode(true);
  if (tone) note.dataset.tone = tone;
  const use = note.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${icon}`));
  note.querySelector("p").textContent = text;
  document.querySelector(".toasts").append(note);
}

document.addEventListener("click", ({ target }) => target.closest("[data-dismiss]")?.closest(".note").remove());

// --- htmx

document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  asker = document.activeElement;
  detail.target.ariaBusy = "true";
});
document.addEventListener("htmx:afterRequest", ({ detail }) => { detail.target.ariaBusy = null; });
document.addEventListener("htmx:afterSettle", ({ target }) => {
  openDialogs();
  keepFocus();
  if (target.querySelector("[data-figure]")) drawCharts();
});

// What has an id has the focus again after a change of the explorer; of anything else, what it belonged to.
function keepFocus() {
  if (document.activeElement !== document.body || asker?.isConnected || !asker?.closest(".explorer")) return;
  const panel = asker.closest("[popover]")?.id ?? (asker.closest(".chip") ? "narrow" : "days");
  document.querySelector(`.explorer [popovertarget="${panel}"]`)?.focus({ preventScroll: true });
}
document.addEventListener("console:news", ({ detail }) => detail.news.forEach(toast));
// Numbers that a page keeps up to date by itself say as of when they are; a missed turn is no news. A button stops them
// until it is pressed again: <button data-pause="use" hidden>Pause</button>.
const isTurn = ({ elt }) => elt.matches("[hx-trigger^='every ']");
for (const button of document.querySelectorAll("[data-pause]")) button.hidden = false;
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-pause]");
  if (!button) return;
  const pauses = button.toggleAttribute("data-paused");
  button.textContent = pauses ? "Resume" : "Pause";
  if (!pauses) htmx.trigger(document.getElementById(button.dataset.pause), "resume");
});
// What is on the way when it is pressed does not arrive either.
for (const step of ["htmx:beforeRequest", "htmx:beforeSwap"]) {
  document.addEventListener(step, (event) => {
    const { elt } = event.detail;
    if (isTurn(event.detail) && document.querySelector(`[data-pause="${elt.id}"][data-paused]`)) event.preventDefault();
  });
}
// Usage that cannot be read is told where it would be; what something before the console answers is no part of a page.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.xhr.status !== 503 || !detail.xhr.getResponseHeader("Vary")?.includes("HX-Target")) return;
  detail.shouldSwap = true;
  detail.isError = false;
});
document.addEventListener("htmx:responseError", ({ detail }) => {
  if (isTurn(detail)) return;
  const text = detail.xhr.status === 403
    ? "This was refused. Reload the page to see what you may do here."
    : `The server answered with an error (${detail.xhr.status}). Nothing was changed on this page; try again.`;
  toast({ text, tone: "bad", icon: "alert" });
});
document.addEventListener("htmx:sendError", ({ detail }) => {
  if (isTurn(detail)) return;
  toast({ text: "The server cannot be reached. Check the connection and try again.", tone: "bad", icon: "alert" });
});

// --- The time zone, for the pages that the server draws: sign-up and sign-in ask for it.

for (const field of document.querySelectorAll("[data-timezone]")) {
  field.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
}

openDialogs();
// What has to be mended is where one goes on typing.
document.querySelector("[aria-invalid=true]")?.focus();
drawCharts();
