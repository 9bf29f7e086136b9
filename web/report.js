// Draws the learning curves of the report with uPlot, in the colours of the page's style.
"use strict";

(() => {
  const curves = JSON.parse(document.getElementById("curve-data").textContent);
  const figures = [...document.querySelectorAll(".curve")];
  const height = 190;
  let charts = [];

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Mean over the last steps, weights falling by e in a fortieth of the run.
  function smoothed(values) {
    const keep = Math.exp(-40 / Math.max(values.length, 1));
    let sum = 0, weight = 0;
    return values.map((value) => {
      if (value === null) return null;
      sum = keep * sum + value;
      weight = keep * weight + 1;
      return sum / weight;
    });
  }

  function shownNumber(value) {
    if (value === null || value === undefined) return "";
    const size = Math.abs(value);
    return size >= 100 ? value.toFixed(0) : size >= 1 ? value.toFixed(2) : value.toPrecision(2);
  }

  // A long noisy run gets a faint line as measured beneath the smoothed one.
  function linesOf(curve) {
    const colours = [style("--accent"), style("--second"), style("--third")];
    const data = [curve.steps], series = [{ label: "step" }];
    curve.series.forEach((line, index) => {
      const stroke = colours[index % colours.length];
      const noisy = line.values.filter((value) => value !== null).length > 30;
      if (noisy) {
        data.push(line.values);
        series.push({ label: "", stroke: stroke + "40", width: 1, points: { show: false }, spanGaps: true });
      }
      data.push(noisy ? smoothed(line.values) : line.values);
      series.push({ label: line.name, stroke, width: 2, points: { show: !noisy, size: 4 }, spanGaps: true });
    });
    return { data, series };
  }

  function draw(curve, figure) {
    const place = figure.querySelector(".plot");
    const { data, series } = linesOf(curve);
    const axis = {
      stroke: style("--soft"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: style("--line"), width: 1 },
      ticks: { show: false },
    };
    const chart = new uPlot(
      {
        width: place.clientWidth,
        height,
        series,
        legend: { show: false },
        cursor: { points: { size: 6 } },
        scales: { x: { time: false } },
        axes: [
          { ...axis, size: 28, grid: { show: false }, values: (_, ticks) => ticks.map((t) => (Number.isInteger(t) ? t : "")) },
          { ...axis, size: 46 },
        ],
        hooks: { setCursor: [(u) => showAt(curve, figure, u.cursor.idx)] },
      },
      data,
      place,
    );
    colourNames(curve, figure);
    return chart;
  }

  // The caption under a chart: where each line starts and ends, or its values under the cursor.
  function showAt(curve, figure, index) {
    const spans = figure.querySelectorAll(".caption span");
    curve.series.forEach((line, k) => {
      const text = spans[k].lastChild;
      spans[k].dataset.ends ??= text.textContent;
      const here = index === null || index === undefined ? null : line.values[index];
      text.textContent =
        here === null ? spans[k].dataset.ends : `${line.name}: ${shownNumber(here)} at step ${curve.steps[index]}`;
    });
  }

  function colourNames(curve, figure) {
    const colours = ["--accent", "--second", "--third"];
    figure.querySelectorAll(".caption span").forEach((span, k) => {
      span.querySelector("i")?.remove();
      const dot = document.createElement("i");
      dot.style.background = `var(${colours[k % colours.length]})`;
      span.prepend(dot);
    });
  }

  function drawAll() {
    charts.forEach((chart) => chart.destroy());
    charts = figures.map((figure, index) => draw(curves[index], figure));
  }

  if (typeof uPlot === "undefined" || figures.length === 0) return;
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("resize", () => {
    charts.forEach((chart, index) => {
      chart.setSize({ width: figures[index].querySelector(".plot").clientWidth, height });
    });
  });
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    drawAll();
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    drawAll();
  });
})();
