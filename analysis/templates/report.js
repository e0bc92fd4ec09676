"use strict";
(function () {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 640px)");

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  // Figures have transparent grounds; text and grid follow the page's light or dark scheme.
  function scheme(layout) {
    const change = {
      "font.color": colour("--ink"),
      "hoverlabel.bgcolor": colour("--panel"),
      "hoverlabel.bordercolor": colour("--line"),
      "hoverlabel.font.color": colour("--ink"),
      "modebar.bgcolor": "rgba(0,0,0,0)",
      "modebar.color": colour("--soft"),
      "modebar.activecolor": colour("--ink"),
    };
    (layout.annotations || []).forEach((note, index) => {
      change["annotations[" + index + "].bgcolor"] = colour("--veil");
    });
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) {
        change[key + ".gridcolor"] = colour("--grid");
        change[key + ".linecolor"] = colour("--soft");
        change[key + ".tickcolor"] = colour("--soft");
      }
    }
    return change;
  }

  function paint(chart, layout) {
    Plotly.relayout(chart, scheme(layout));
    const outlined = [...chart.data.keys()].filter((index) => {
      const line = (chart.data[index].marker || {}).line;
      return line && typeof line.color === "string";
    });
    if (outlined.length) Plotly.restyle(chart, { "marker.line.color": colour("--ground") }, outlined);
  }

  // A long legend goes below its plot, which keeps its height.
  function narrowed(figure) {
    const entries = figure.data.filter((trace) => trace.name && trace.showlegend !== false).length;
    figure.layout.font.size = 11;
    if (entries < 6 || !figure.layout.legend) return;
    Object.assign(figure.layout.legend, { y: -0.22, yanchor: "top" });
    figure.layout.height += 18 * entries;
  }

  const charts = [];
  if (window.Plotly) {
    for (const source of document.querySelectorAll("script.figure-data")) {
      const chart = document.getElementById(source.dataset.target);
      const figure = JSON.parse(source.textContent);
      const config = {
        responsive: true, displaylogo: false, scrollZoom: false,
        // nothing may leave the page: no upload button, no server to upload to
        modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"],
        plotlyServerURL: "",
        toImageButtonOptions: { filename: chart.id, scale: 2 },
        displayModeBar: narrow.matches ? false : "hover",
      };
      figure.layout.autosize = true;
      if (narrow.matches) narrowed(figure);
      Plotly.newPlot(chart, figure.data, figure.layout, config)
        .then(() => paint(chart, figure.layout));
      charts.push([chart, figure.layout]);
    }
    const repaint = () => charts.forEach(([chart, layout]) => paint(chart, layout));
    dark.addEventListener("change", repaint);
    window.addEventListener("beforeprint", () => charts.forEach(([chart, layout]) =>
      Plotly.relayout(chart, { ...scheme(layout), "font.color": "#111", width: 680, autosize: false })));
    window.addEventListener("afterprint", () => charts.forEach(([chart, layout]) =>
      Plotly.relayout(chart, { ...scheme(layout), width: null, autosize: true })));
  }

  function compare(a, b) {
    const x = Number(a), y = Number(b);
    if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    if (a === "inf" || b === "inf") return (a === "inf") - (b === "inf");
    return a.localeCompare(b, undefined, { numeric: true });
  }

  // All parts of a table are sorted together: a row stands at the same height in each.
  function sort(head) {
    const table = head.closest("table"), parts = table.closest(".parts"), place = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of parts.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(a.cells[place].dataset.sort, b.cells[place].dataset.sort) * (down ? -1 : 1));
    const order = rows.map((row) => row.dataset.row);
    for (const body of parts.querySelectorAll("tbody")) {
      const found = new Map([...body.rows].map((row) => [row.dataset.row, row]));
      body.append(...order.map((row) => found.get(row)));
    }
  }

  for (const head of document.querySelectorAll("table.sortable th")) {
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter") sort(head);
    });
  }
})();
